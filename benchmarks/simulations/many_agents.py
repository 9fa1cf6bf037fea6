"""Ten thousand villagers and no engine: what the driver costs, and what the stack before it does.

`driver` is one process, without Ray, and a stub in the place of the model: the real World,
conductor, state and journal. `stack` runs them over Ray workers through the real ingress, router
and controller, which gets their distances; stub replicas answer at once.

Run: python -m benchmarks.simulations.many_agents [driver | stack [AGENTS [STEPS]]]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.results import write
from benchmarks.simulations.stub_stack import stub_stack
from scalesim.headers import CachedTokens
from scalesim.settings import ClientSettings
from scalesim.simulations.arm_run import Run, RunOptions
from scalesim.simulations.chat_caller import Answer, ChatAnswer
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.journal import Journal
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_arms import drive_of
from scalesim.simulations.driver.world_run import WorldRun, run_world
from scalesim.simulations.driver.world_state import WorldState
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize
from scalesim.simulations.worlds.town import Town

_SAID = ChatAnswer(Answer("Good day!", "", 0.0, 0.0, 0.0, CachedTokens(100), 8, "stub"), {}, {})
_AT_ONCE = 1024


class StubModel:
    """Answers at once, always the same."""

    async def chat(self, *_: object) -> ChatAnswer:
        """Return the answer."""
        return _SAID

    async def close(self) -> None:
        """Nothing is held."""


def in_the_driver(world: Town, steps: int, folder: Path) -> tuple[Run, dict[str, Any]]:
    """Run a World in this process."""
    run = WorldRun(world, DriveOptions(steps, concurrency=_AT_ONCE), "town", folder)
    pool = lambda: LocalPool(TurnRunner(world, StubModel(), "town", steps + 1))  # noqa: E731
    cpu = time.process_time()
    done = asyncio.run(run_world(run, StubModel, pool, None, lambda *_: None))
    turns = world.count * steps
    return done, {"turns_per_cpu_s": round(turns / (time.process_time() - cpu))}


def through_the_stack(world: Town, steps: int, folder: Path) -> tuple[Run, dict[str, Any]]:
    """Run a World over two Ray workers, with its distances reported."""
    with stub_stack() as (base_url, settings):
        target = Target(
            base_url, settings.engine.served_model_name, ClientSettings(base_url=base_url)
        )
        drive, before = drive_of(world, "town", steps, PromptSize()), _resident_bytes()
        done = drive(target, RunOptions(2, _AT_ONCE, 0.0), lambda *_: None, folder)
        grown = {part: now - before[part] for part, now in _resident_bytes().items()}
    return done, {
        "calls_per_s": round(len(done.calls.texts) / done.busy_s),
        "failed": done.calls.failed,
        "distances_taken": done.hints.sent,
        "distances_dropped": done.hints.dropped,
        "grown_bytes_per_agent": {part: round(n / world.count) for part, n in grown.items()},
    }


def _resident_bytes() -> dict[str, int]:
    """Return the memory of the processes of ingress and controller."""
    found: dict[str, int] = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may just have ended
            title = (process.cmdline() or [""])[0]
            for part in ("Ingress", "ControllerActor"):
                if part in title:
                    found[part] = process.memory_info().rss
    return found


def checkpoint_s(world: Town, folder: Path) -> float:
    """Return the seconds that writing all agents again takes."""
    journal = Journal(folder)
    agents = journal.agents()
    assert agents is not None
    state = WorldState(Roster(world), world.reach, world.speed, agents)
    begun = time.monotonic()
    journal.write(state)
    return time.monotonic() - begun


def main(kind: str, agents: int, steps: int) -> None:
    """Print turns per second, memory an agent and seconds of a checkpoint; write JSON."""
    world = Town(agents, seed=1)
    run = {"driver": in_the_driver, "stack": through_the_stack}[kind]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        done, more = run(world, steps, folder)
        kept = sum(file.stat().st_size for file in folder.iterdir())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        figures: dict[str, Any] = {
            "agents": agents,
            "steps": steps,
            "turns_per_s": round(agents * steps / done.busy_s),
            "calls": len(done.calls.texts),
            **more,
            "memory_bytes_per_agent": round(1024 * memory / agents),
            "checkpoint_bytes_per_agent": round(kept / agents),
            "checkpoint_s": round(checkpoint_s(world, folder), 3),
        }
    Console().print(figures)
    write(f"simulations/many_agents_{kind}", figures)


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:] or ["driver"]
    main(kind, *([int(number) for number in numbers] + [10_000, 5][len(numbers) :]))
