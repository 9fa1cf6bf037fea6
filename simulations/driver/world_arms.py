"""A World over Ray workers: in the arms, or on a stack that runs already."""

from __future__ import annotations

import asyncio
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
from scalesim.simulations.arm_run import Drive, Run, RunOptions, WatchStep
from scalesim.simulations.arms import ArmOutcome
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.driver.asked_model import MakeServedModel
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.forecast import Forecast
from scalesim.simulations.driver.ray_pool import RayTurnPool, RayWorkers
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.world_run import WarmUp, WorldRun, run_world
from scalesim.simulations.progress import ArmsProgress
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize, Workload
from scalesim.world import World

_ASK_S = 10.0


@dataclass(frozen=True)
class WorldDrive:
    """Runs a World over Ray workers; see `Drive`.

    They are on all nodes of the cluster, or on this one where only it reaches the stack.

    Attributes:
        world: The World.
        workload: Its agents and sizes.
        warm_up: See `WorldRun`.
    """

    world: World
    workload: Workload
    warm_up: WarmUp | None = None

    def __call__(
        self, target: Target, run_options: RunOptions, watch: WatchStep, folder: Path
    ) -> Run:
        """See `Drive`."""
        workers, concurrency, think_s, stepping, on_error = run_options
        name, steps = self.workload.name, self.workload.steps
        options = DriveOptions(steps, stepping, concurrency, on_error, think_s)
        hints = target.simulation(name)
        key = target.api_key.get_secret_value()
        model = MakeServedModel(target.base_url, name, target.model_of, key, hints is not None)
        here = is_loopback(target.base_url)
        made_of = RayWorkers(self.world, model, name, steps + 1, workers, here)
        foresight = None if hints is None else Forecast(self.world, Roster(self.world), hints)
        run = WorldRun(self.world, options, name, folder, self.warm_up)
        return asyncio.run(run_world(run, model, lambda: RayTurnPool(made_of), foresight, watch))


def drive_of(world: World, name: str, steps: int, size: PromptSize) -> WorldDrive:
    """Return how a World is run: its calls are not known before."""
    names = Roster(world).names
    schedule = Schedule(len(names), [np.empty(0, np.int32)] * steps, ordered=False)
    return WorldDrive(world, Workload(name, names, schedule, steps, size, world.seed))


def on_stack(
    drive: Drive, client: ClientSettings, run_options: RunOptions, folder: Path
) -> dict[Arm, ArmOutcome]:
    """Run a simulation on a stack that runs already; in Ray's cluster if there is one.

    Raises:
        UnavailableError: The stack does not answer, or no call of the warm-up.
        ScaleSimError: See `Drive`.
    """
    from scalesim.transports.http import HttpTransport

    target = Target(client.base_url, _model_of(client), client, api_key=client.api_key)
    if not folder.exists():  # its steps start over
        with Simulation(drive.workload.name, settings=client) as before:
            before.end()
    with _ray_for_workers(), ArmsProgress(drive.workload) as progress:
        line = progress.arm("scalesim")

        def watched(step: int, calls: CallTable) -> None:
            if step == 0 and 0 < calls.failed == len(calls.errors):
                raise UnavailableError(
                    f"the stack at {client.base_url} answered none of the {calls.failed} calls of "
                    f"the warm-up: {calls.errors[0]}"
                )
            line(step, calls)

        run = drive(target, run_options, watched, folder)
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
    from scalesim.deployments import cluster
    from scalesim.deployments.run_folder import RAY_FITS, RunFolder

    with RunFolder(RAY_FITS) as folder:
        folder.guard()
        cluster.start(folder)
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
