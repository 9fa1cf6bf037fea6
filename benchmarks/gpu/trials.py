"""The same trials in several arms, on engines that differ in nothing else."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.engine_backend import EngineBackend
from benchmarks.gpu.engines import Setup, engine
from benchmarks.gpu.noise import Noise
from benchmarks.gpu.result_file import ResultFile
from benchmarks.gpu.runs_summary import side_by_side
from benchmarks.gpu.variants import VARIANTS
from benchmarks.gpu.workload_runner import drive
from benchmarks.gpu.workloads import PlayedWorkload
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.simulations.arm_run import RunOptions


class Trial(NamedTuple):
    """One line of the results.

    Attributes:
        name: Of the line.
        played: The workload, once a seed.
        sigma: Noise of the hints.
    """

    name: str
    played: Sequence[PlayedWorkload]
    sigma: float = 0.0


class Field(NamedTuple):
    """What is alike in all arms: engine, options of a run and where models are written."""

    setup: Setup
    run_options: RunOptions
    scratch: Path


async def compare(
    arms: Sequence[str], trials: Sequence[Trial], field: Field, results: ResultFile
) -> None:
    """Run all trials in all arms and write down what is known after each.

    Arms of one kind of engine share it; each run has a cache and a controller of its own. What does
    not fit in the results's time is left out.
    """
    done: dict[str, dict[str, Any]] = defaultdict(dict)
    longest_s = 0.0
    for kind, alike in groupby(arms, lambda arm: VARIANTS[arm].engine):
        if not results.room(f"engine {kind}", longest_s):
            continue
        async with engine(field.setup, kind, field.scratch) as host:
            for arm in alike:
                for trial in trials:
                    if results.room(f"{trial.name} {arm}", longest_s):
                        begin = time.monotonic()
                        done[trial.name][arm] = await _runs(arm, trial, host, field)
                        longest_s = max(longest_s, time.monotonic() - begin)
                        results.add(trial.name, _line(done[trial.name], field))


async def _runs(arm: str, trial: Trial, host: EngineHost, field: Field) -> list[dict[str, Any]]:
    runs = []
    for seed, played in enumerate(trial.played):
        noise = Noise(trial.sigma, seed)
        serving = EngineBackend(host, VARIANTS[arm], noise, field.setup.adapters)
        try:
            runs.append(await drive(played, serving, field.run_options))
        finally:
            await serving.stop()
    return runs


def _line(arms: Mapping[str, Any], field: Field) -> dict[str, Any]:
    return {
        "setup": field.setup._asdict(),
        "run_options": field.run_options._asdict(),
        **side_by_side(arms),
    }
