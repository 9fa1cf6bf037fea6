"""A World in the arms, or on a stack that runs already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from scalesim.errors import UnavailableError
from scalesim.proxies import may_be_proxied
from scalesim.settings import Arm, ClientSettings
from scalesim.simulation import Simulation
from scalesim.simulations.agent_nodes import is_loopback
from scalesim.simulations.arms import ArmOutcome
from scalesim.simulations.call_table import calls_of
from scalesim.simulations.checkpoint import Checkpoint
from scalesim.simulations.coordinator import Run, RunOptions, WatchStep
from scalesim.simulations.driver.asked_model import MakeServedModel
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.ray_pool import RayTurnPool, RayWorkers
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.world_run import WorldRun, run_world
from scalesim.simulations.load_generator import Target
from scalesim.simulations.progress import ArmsProgress
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.workload import PromptSize, Workload
from scalesim.world import World

_ASK_S = 10.0


@dataclass(frozen=True)
class WorldDrive:
    """Runs a World where a workload would be run; see `coordinator.drive`.

    Attributes:
        world: The World.
        options: How it is driven.
        api_key: Of the stack, where it has one.
    """

    world: World
    options: DriveOptions
    api_key: str = ""

    def workload(self, name: str, size: PromptSize) -> Workload:
        """Return the frame of a workload: agents and sizes, with calls that nobody knows yet."""
        names = Roster(self.world).names
        none = [np.empty(0, np.int32)] * self.options.steps
        schedule = Schedule(len(names), none, ordered=False)
        return Workload(name, names, schedule, self.options.steps, size, self.world.seed)

    def __call__(
        self,
        workload: Workload,
        target: Target,
        run_options: RunOptions,
        watch: WatchStep,
        checkpoint: Checkpoint,
    ) -> Run:
        """See `coordinator.drive`."""
        watch(0, calls_of([]))
        folder = checkpoint.folder / "world"
        run = WorldRun(self.world, self.options, workload.name, folder)
        key = self.api_key or target.api_key.get_secret_value()
        model = MakeServedModel(target.base_url, workload.name, target.model_of, key)
        end, here = self.options.steps + 1, is_loopback(target.base_url)
        workers = RayWorkers(self.world, model, workload.name, end, run_options.workers, here)
        hints = target.simulation(workload.name)
        return run_world(run, model, lambda: RayTurnPool(workers), hints, watch)


def on_stack(
    drive: WorldDrive,
    workload: Workload,
    client: ClientSettings,
    run_options: RunOptions,
    folder: Path,
) -> dict[Arm, ArmOutcome]:
    """Run a World on a stack that runs already, with progress; in Ray's cluster if there is one.

    Raises:
        UnavailableError: The stack does not answer.
        ScaleSimError: See `run_world`.
    """
    from scalesim.transports.http import HttpTransport

    target = Target(client.base_url, _model_of(client), client)
    checkpoint = Checkpoint(folder / "scalesim")
    if not (checkpoint.folder / "world").exists():  # its steps start over
        with Simulation(workload.name, settings=client) as before:
            before.end()
    with _ray_for_workers(), ArmsProgress(workload) as progress:
        line = progress.arm("scalesim")
        run = drive(workload, target, run_options, line, checkpoint)
        line.finish(run.busy_s)
    with closing(HttpTransport(client)) as transport:
        status = transport.status()
    return {"scalesim": ArmOutcome(run, status)}


@contextmanager
def _ray_for_workers() -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(address="local", log_to_driver=False, include_dashboard=False)
    try:
        yield
    finally:
        ray.shutdown()


def _model_of(client: ClientSettings) -> str:
    key = client.api_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(timeout=_ASK_S, trust_env=may_be_proxied(client.base_url)) as asked:
            answer = asked.get(f"{client.base_url}/v1/models", headers=headers).raise_for_status()
    except httpx.HTTPError as error:
        raise UnavailableError(
            f"the stack at {client.base_url} did not say what it serves ({error}): start it with "
            "`scalesim up`, or give its --base-url and SCALESIM_API_KEY"
        ) from None
    return str(answer.json()["data"][0]["id"])
