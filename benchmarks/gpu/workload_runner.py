"""Runs a workload on a started engine in this process, and sums it up."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.engine_backend import EngineBackend
from benchmarks.gpu.workloads import PlayedWorkload
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.driver.asked_model import AskedModel
from scalesim.simulations.driver.drive import DriveOptions
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_run import WorldRun, run_world
from scalesim.simulations.scheduled_world import ScheduledWorld
from scalesim.simulations.summary import arm_summary
from scalesim.vocabulary import COUNTED, TransferStats


async def drive(
    played: PlayedWorkload, serving: EngineBackend, run_options: RunOptions
) -> dict[str, Any]:
    """Run a workload on an empty cache; return the arm's figures after the warm-up.

    `transfer` counts what was moved ahead since the warm-up, by kind.
    """
    workload = played.workload
    await serving.empty()
    hints, model = serving.simulation(workload.name), serving.model(workload.name)
    world, before = ScheduledWorld(workload), dict[str, TransferStats]()
    concurrency, think_s = run_options.concurrency, run_options.think_s
    options = DriveOptions(workload.steps, "barrier", concurrency, think_s=think_s)

    async def warm_up(model: AskedModel, concurrency: int) -> CallTable:
        calls = await world.warm_up(model, concurrency)
        before.update(await serving.transfers())
        return calls

    with tempfile.TemporaryDirectory() as folder:
        run = await run_world(
            WorldRun(world, options, workload.name, Path(folder), warm_up),
            lambda: model,
            lambda: LocalPool(TurnRunner(world, model, workload.name, workload.steps + 1)),
            None if hints is None else played.foresight(world, hints),
            lambda step, calls: None,
        )
    transfer = {
        kind: _since(now, before[kind]) for kind, now in (await serving.transfers()).items()
    }
    return {
        **arm_summary(run, workload),
        "warmup_s": round(run.warmup_s, 3),
        "steps": workload.steps,
        "transfer": transfer,
    }


def _since(now: TransferStats, before: TransferStats) -> dict[str, int]:
    counts = {name: getattr(now, name) - getattr(before, name) for name in COUNTED}
    return {name: count for name, count in counts.items() if count}
