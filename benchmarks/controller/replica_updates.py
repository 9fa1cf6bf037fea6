"""Many replicas of busy engines tell one controller what changed, over real Ray calls.

Each engine holds 1,000 agents and makes 100 passes a second, in each of which requests begin and
end; engines and their GPUs are made up, links and controller are real. All agents are reported
anew once a second. The peer takes the same calls, as often, and does nothing.

Run: python -m benchmarks.controller.replica_updates [REPLICAS ...]
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from typing import Any

import numpy as np
import psutil
import ray
from ray.actor import ActorHandle
from rich.console import Console
from rich.table import Table

from benchmarks.controller import busy_engines
from benchmarks.results import write
from scalesim.controller import actor
from scalesim.controller.catalog.embedded import serving
from scalesim.deployments.remote import RemoteController
from scalesim.settings import (
    CatalogSettings,
    ControllerSettings,
    EngineSettings,
    StackSettings,
)
from scalesim.vocabulary import ReplicaInfo

REPLICAS = (8, 64, 256)
PROCESSES = 4
"""Of replicas; each holds a part of them."""

SETTLE_S, MEASURE_S = 12.0, 20.0


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


def measured(target: ActorHandle, replicas: int, simulation: str, steps: bool) -> dict[str, Any]:
    """Return what so many replicas made of an actor's process, and how fast they were directed."""
    process = psutil.Process(ray.get(target.__ray_call__.remote(lambda _: os.getpid())))
    find = partial(_same, target)
    make = partial(RemoteController, find, ControllerSettings())
    remote = ray.remote(num_cpus=0)(busy_engines.EngineHosts)
    keys = busy_engines.homes(simulation, replicas)
    parts = [range(first, replicas, PROCESSES) for first in range(min(PROCESSES, replicas))]
    hosts = [remote.remote({number: keys[number] for number in part}, make) for part in parts]
    ray.get([host.attach.remote() for host in hosts])
    try:
        _live(target, simulation if steps else None, keys, SETTLE_S, 0)
        ray.get([host.take.remote() for host in hosts])
        began, used = time.monotonic(), _used(process)
        _live(target, simulation if steps else None, keys, MEASURE_S, int(SETTLE_S))
        seconds, used = time.monotonic() - began, _used(process) - used
        taken = ray.get([host.take.remote() for host in hosts])
    finally:
        ray.get([host.stop.remote() for host in hosts])
        for host in hosts:
            ray.kill(host)
    updates = sum(count for count, _ in taken)
    delays = np.concatenate([delays for _, delays in taken] or [[]])
    p50, p99 = np.percentile(delays, [50, 99]).tolist() if delays.size else (None, None)
    return {
        "replicas": replicas,
        "busy_share": used / seconds,
        "updates_per_s": updates / seconds,
        "interval_s": replicas * seconds / max(updates, 1),
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
            near = busy_engines.distances(step + second)
            calls = [target.report.remote(simulation, step + second, each, near) for each in keys]
            ray.get(calls)
        time.sleep(max(1.0 - (time.monotonic() - began), 0.0))


def _same(target: ActorHandle) -> ActorHandle:
    return target


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main(counts: list[int]) -> None:
    """Measure the controller and its peer in turn, print both, write JSON."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    rows: list[dict[str, Any]] = []
    with serving(CatalogSettings()) as catalog:
        settings = StackSettings(engine=EngineSettings(model_path="none"), catalog=catalog)
        for replicas in counts:
            controller = actor.start(settings)
            row = measured(controller, replicas, f"simulation-{replicas}", steps=True)
            actor.stop(settings.controller)
            empty = ray.remote(num_cpus=0)(IdleController).options(max_concurrency=10_000)
            peer = empty.remote(row["interval_s"])
            row["empty_busy_share"] = measured(peer, replicas, "none", steps=False)["busy_share"]
            ray.kill(peer)
            rows.append(row)
            print(row, flush=True)
    ray.shutdown()

    table = Table("replicas", "busy", "empty actor", "updates/s", "between two", "directed after")
    for row in rows:
        directed = row["directed_s"]
        table.add_row(
            str(row["replicas"]),
            f"{row['busy_share']:.0%}",
            f"{row['empty_busy_share']:.0%}",
            f"{row['updates_per_s']:.0f}",
            f"{row['interval_s'] * 1e3:.0f} ms",
            f"p50 {directed['p50'] * 1e3:.0f}, p99 {directed['p99'] * 1e3:.0f} ms",
        )
    Console().print(table)
    write(
        "controller/replica_updates", rows, agents=busy_engines.AGENTS, pass_s=busy_engines.PASS_S
    )


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or list(REPLICAS))
