"""What the command line says of a simulation, checked."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from scalesim.environment import client_from_env
from scalesim.errors import ConfigurationError
from scalesim.identity import check_simulation
from scalesim.settings import ClientSettings
from scalesim.simulations.arm_run import OnError, RunOptions, Stepping
from scalesim.simulations.driver.drive import stepping_of
from scalesim.simulations.driver.world_arms import WorldDrive, drive_of
from scalesim.simulations.driver.world_files import REFERENCE, is_world, load_world
from scalesim.simulations.scheduled_world import ScheduledWorld, scheduled
from scalesim.simulations.wording import VillageTalk
from scalesim.simulations.workload import PromptSize, Workload

_STEPS = 12
_CONCURRENCY, _CONCURRENCY_IN_ORDER = 64, 4
"""A recorded order means something only where few calls run at once."""

_THINK_S = 0.3


class ChosenSimulation(NamedTuple):
    """The simulation of a command line: a World or one of `society` and `trace`.

    Attributes:
        name: As given.
        agents: How many; None for its own.
        active: Share of a society that acts in a step; None for its own.
        trace: File of a trace.
        steps: How many; None for 12, or the whole trace.
        seed: Seed of all that is drawn.
        size: Tokens of a call; of a World the longest prompt and answer.
        in_words: Whether the model knows words; the random one of the arms does not.
    """

    name: str
    agents: int | None
    active: float | None
    trace: Path | None
    steps: int | None
    seed: int
    size: PromptSize
    in_words: bool

    @property
    def readable(self) -> bool:
        """Whether people can read what is said."""
        return self.in_words or is_world(self.name)

    def drive(self) -> WorldDrive:
        """Return it, to be run.

        Raises:
            ConfigurationError: A value means nothing, or the World cannot be loaded.
        """
        if not is_world(self.name):
            workload = self._workload()
            return scheduled(
                replace(workload, wording=VillageTalk()) if self.in_words else workload
            )
        if self.active is not None or self.trace is not None:
            raise ConfigurationError("a World takes neither --active nor --trace")
        steps = _STEPS if self.steps is None else self.steps
        if (self.agents is not None and self.agents < 1) or steps < 1:
            raise ConfigurationError(
                "a World runs at least one agent for one step: see --agents, --steps"
            )
        world = load_world(self.name, self.agents, self.seed)
        return drive_of(world, _namespace(self.name), steps, self.size)

    def _workload(self) -> Workload:
        match self.name:
            case "society" if self.trace is None:
                from scalesim.simulations.society import society

                given = {"agents": self.agents, "active": self.active, "steps": self.steps}
                known: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
                return society(size=self.size, seed=self.seed, **known)
            case "trace" if self.trace is not None and self.agents is None and self.active is None:
                from scalesim.simulations.trace import recorded

                return recorded(self.trace, steps=self.steps, size=self.size, seed=self.seed)
            case "society" | "trace":
                raise ConfigurationError(
                    "`society` takes --agents and --active but no --trace; `trace` needs --trace "
                    "FILE and takes its agents from there"
                )
            case name:
                raise ConfigurationError(
                    f"there is no simulation {name!r}: use FILE.py:CLASS, society, trace, or one "
                    f"of {', '.join(REFERENCE)}"
                )


def options_of(
    drive: WorldDrive,
    workers: int,
    concurrency: int | None,
    think_s: float | None,
    stepping: str | None,
    on_error: str,
) -> RunOptions:
    """Return how a simulation is driven, with its own defaults for what is None.

    Raises:
        ConfigurationError: A value means nothing.
        WorldError: It cannot be stepped so.
    """
    for option, value, known in (
        ("--stepping", stepping or "barrier", get_args(Stepping)),
        ("--on-error", on_error, get_args(OnError)),
    ):
        if value not in known:
            raise ConfigurationError(f"{option} {value} means nothing: use {' or '.join(known)}")
    steps = stepping_of(drive.world, cast(Stepping | None, stepping))
    if think_s and steps == "causal":
        raise ConfigurationError("--think pauses after each step: use --stepping barrier with it")
    if think_s is None:
        think_s = _THINK_S if isinstance(drive.world, ScheduledWorld) else 0.0
    if concurrency is None:
        in_order = drive.workload.schedule.ordered
        concurrency = _CONCURRENCY_IN_ORDER if in_order else _CONCURRENCY
    return RunOptions(workers, concurrency, think_s, steps, cast(OnError, on_error))


def _namespace(simulation: str) -> str:
    """Return the namespace of a World's agents, by its name on the command line."""
    return check_simulation(simulation.rpartition(":")[2].lower())


def client_at(base_url: str) -> ClientSettings:
    """Return the settings of the stack at a URL; its key is taken from SCALESIM_API_KEY."""
    return client_from_env().model_copy(update={"base_url": base_url.rstrip("/")})


def digest(drive: WorldDrive, run_options: RunOptions) -> str:
    """Return a hash of all that a run depends on but its machine; a changed World starts over."""
    source = inspect.getsource(inspect.getmodule(type(drive.world)) or type(drive.world))
    text = f"{source} {drive.workload.digest} {run_options}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
