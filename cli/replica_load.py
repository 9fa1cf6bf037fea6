"""Many replicas of busy engines tell one controller what changed, over real Ray calls.

Each engine holds 1,000 agents and makes 100 passes a second, in each of which requests begin and
end; engines and their GPUs are made up, links and controller are real. All agents are reported
again once a second. The peer takes the same calls, as often, and does nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import psutil
import ray
from ray.actor import ActorHandle

from scalesim.cli import busy_engines
from scalesim.controller import actor
from scalesim.controller.catalog.embedded import serving
from scalesim.deployments.remote import RemoteController
from scalesim.errors import UnavailableError
from scalesim.settings import CatalogSettings, ControllerSettings, EngineSettings, StackSettings
from scalesim.vocabulary import ReplicaInfo

_PROCESSES = 4
"""How many processes the replicas are in; each holds a part of them."""

_ANSWER_S = 120.0
"""Longest a call may take: processes of Python start in it."""


class Timing(NamedTuple):
    """How long the controller is let settle, and then measured."""

    settle: float = 12.0
    measure: float = 20.0


class IdleController:
    """Takes the same calls and does nothing: what Ray itself costs.

    Args:
        interval_s: Between two updates of a replica.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s

    async def attach(self, info: ReplicaInfo) -> int:
        """Return an incarnation."""
        return 1

    async def poll(self, replica: str, incarnation: int, acked: int, timeout_s: float) -> None:
        """Answer after the time of a poll."""
        await asyncio.sleep(timeout_s)

    async def update(self, *_: object) -> float:
        """Say when the next one is due."""
        return self._interval_s

    async def detach(self, replica: str) -> None:
        """Do nothing."""


def _measured(
    target: ActorHandle, replicas: int, simulation: str, steps: bool, seconds: Timing
) -> dict[str, Any]:
    """Return what so many replicas made of an actor's process, and how fast they were directed."""
    process = psutil.Process(_answers(target.__ray_call__.remote(lambda _: os.getpid())))
    find = partial(_same, target)
    make = partial(RemoteController, find, ControllerSettings())
    remote = ray.remote(num_cpus=0)(busy_engines.EngineHosts)
    keys = busy_engines.homes(simulation, replicas)
    parts = [range(first, replicas, _PROCESSES) for first in range(min(_PROCESSES, replicas))]
    hosts = [remote.remote({number: keys[number] for number in part}, make) for part in parts]
    _answers([host.attach.remote() for host in hosts])
    try:
        _live(target, simulation if steps else None, keys, seconds.settle, 0)
        _answers([host.take.remote() for host in hosts])
        began, used = time.monotonic(), _used(process)
        _live(target, simulation if steps else None, keys, seconds.measure, int(seconds.settle))
        took, used = time.monotonic() - began, _used(process) - used
        taken = _answers([host.take.remote() for host in hosts])
    finally:
        _answers([host.stop.remote() for host in hosts])
        for host in hosts:
            ray.kill(host)
    updates = sum(count for count, _ in taken)
    delays = np.concatenate([delays for _, delays in taken] or [[]])
    p50, p99 = np.percentile(delays, [50, 99]).tolist() if delays.size else (None, None)
    return {
        "replicas": replicas,
        "busy_share": used / took,
        "updates_per_s": updates / took,
        "interval_s": replicas * took / max(updates, 1),
        "directed_s": {"p50": p50, "p99": p99, "measured": delays.size},
    }


def _live(
    target: ActorHandle,
    simulation: str | None,
    keys: list[np.ndarray[Any, Any]],
    seconds: float,
    step: int,
) -> None:
    """Report every agent once a second, as a simulation does; only wait where there is none."""
    for second in range(int(seconds)):
        began = time.monotonic()
        if simulation is not None:
            near = np.tile(busy_engines.distances(step + second), len(keys))
            _answers(target.report.remote(simulation, step + second, np.concatenate(keys), near))
        time.sleep(max(1.0 - (time.monotonic() - began), 0.0))


def _answers(calls: Any) -> Any:
    """Return what calls of Ray answer.

    Raises:
        UnavailableError: They did not in time.
    """
    try:
        return ray.get(calls, timeout=_ANSWER_S)
    except ray.exceptions.GetTimeoutError as error:
        raise UnavailableError(
            f"engines and controller did not answer within {_ANSWER_S:.0f} s: measure fewer "
            "engines, or on a machine that is less busy"
        ) from error


def _same(target: ActorHandle) -> ActorHandle:
    return target


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure_updates(
    counts: Sequence[int],
    seconds: Timing = Timing(),  # noqa: B008
) -> Iterator[dict[str, Any]]:
    """Yield what so many replicas make of the controller, and of its peer; Ray must be initialised.

    `busy_share` and `empty_busy_share` are of one processor; `directed_s` is from an agent's loss
    of its place, as the engine hands it on, to the order to bring it back. `line` says it all.
    """
    for replicas in counts:
        with serving(CatalogSettings()) as catalog:  # or it would know the agents of the last one
            settings = StackSettings(engine=EngineSettings(model_path="none"), catalog=catalog)
            controller = actor.start(settings)
            row = _measured(controller, replicas, f"simulation-{replicas}", True, seconds)
            actor.stop(settings.controller)
        empty = ray.remote(num_cpus=0)(IdleController).options(max_concurrency=10_000)
        peer = empty.remote(row["interval_s"])
        idle = _measured(peer, replicas, "none", False, seconds)
        row["empty_busy_share"] = idle["busy_share"]
        ray.kill(peer)
        yield {**row, "line": line_of(row)}


def line_of(row: dict[str, Any]) -> str:
    """Return a row as a line for people."""
    directed = row["directed_s"]
    orders = (
        f"directed after {directed['p50'] * 1e3:.0f} ms p50, {directed['p99'] * 1e3:.0f} ms p99"
        if directed["measured"]
        else "nobody was directed"
    )
    return (
        f"{row['replicas']:4} replicas: controller {row['busy_share']:.0%} of a processor, an "
        f"empty actor {row['empty_busy_share']:.0%}; {row['updates_per_s']:.0f} updates/s, each "
        f"replica every {row['interval_s'] * 1e3:.0f} ms; {orders}"
    )
