"""Runs a workload on a started engine, step by step, and sums it up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.gpu.engine_backend import EngineBackend
from benchmarks.gpu.workloads import Played
from scalesim.sender import Stats
from scalesim.simulations.checkpoint import Step
from scalesim.simulations.coordinator import RunOptions, run_of
from scalesim.simulations.load_generator import LoadGenerator
from scalesim.simulations.summary import arm_summary
from scalesim.vocabulary import COUNTED, TransferStats

_WARMUP_CONCURRENCY = 8
"""Few enough that the warm-up ends with the last agents resident, in their order."""


async def drive(played: Played, serving: EngineBackend, run_options: RunOptions) -> dict[str, Any]:
    """Run a workload on an empty cache; return the arm's figures after the warm-up.

    `transfer` counts what was moved ahead since the warm-up, by kind.
    """
    workload = played.workload
    await serving.empty()
    hints = serving.simulation(workload.name)
    generator = LoadGenerator(workload, (0, 1), serving)

    async def act(step: int, concurrency: int) -> Step:
        if hints is not None:
            played.report(hints, workload, step)
        begin = time.monotonic()
        calls = await generator.act(step, concurrency)
        return Step(calls, time.monotonic() - begin)

    warmup = await act(0, min(run_options.concurrency, _WARMUP_CONCURRENCY))
    before = await serving.transfers()
    steps = []
    for step in range(1, workload.steps + 1):
        steps.append(await act(step, run_options.concurrency))
        await asyncio.sleep(run_options.think_s)
    transfer = {
        kind: _since(now, before[kind]) for kind, now in (await serving.transfers()).items()
    }
    await generator.close()
    if hints is not None:
        await asyncio.to_thread(hints.close)
    run = run_of(steps, run_options, warmup.calls, warmup.seconds, Stats(), 0)
    return {
        **arm_summary(run, workload),
        "warmup_s": round(warmup.seconds, 3),
        "steps": workload.steps,
        "transfer": transfer,
    }


def _since(now: TransferStats, before: TransferStats) -> dict[str, int]:
    counts = {name: getattr(now, name) - getattr(before, name) for name in COUNTED}
    return {name: count for name, count in counts.items() if count}
