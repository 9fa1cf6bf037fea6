"""The step barrier: workers act, the simulation thinks, the next step begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.sender import Stats
from scalesim.simulation import Simulation
from scalesim.simulations.agent_nodes import placement
from scalesim.simulations.call_table import CallTable, joined
from scalesim.simulations.checkpoint import Checkpoint, Step
from scalesim.simulations.load_generator import LoadGenerator, Target
from scalesim.simulations.workload import Workload

WatchStep = Callable[[int, CallTable], None]
"""Called with the step (0 is the warm-up) and its calls when all of them ended."""

Drive = Callable[[Workload, Target, "RunOptions", WatchStep, Checkpoint], "Run"]
"""Runs a workload on a stack; see `drive`."""

_FORESEEN_STEPS = 2
"""Steps reported ahead, besides each agent's own next use as its call ends."""

_WARMUP_CONCURRENCY = 8
"""Few enough that the warm-up ends with the last agents resident, in their order."""


class RunOptions(NamedTuple):
    """How a run is driven.

    Attributes:
        workers: Ray actors the agents are spread over.
        concurrency: Calls in flight at once, over all workers, within a step.
        think_s: Pause after each step: what the simulation itself would compute.
    """

    workers: int = 2
    concurrency: int = 64
    think_s: float = 0.3


class Run(NamedTuple):
    """What one arm did.

    Attributes:
        warmup: Calls of the warm-up, outside of the clock.
        warmup_s: How long it took.
        calls: Calls of the steps.
        step_s: float64[steps], seconds from a step's begin to its last answer.
        wall_s: Seconds of all steps with their pauses.
        think_s: Seconds of that in pauses.
        hints: What became of the hints.
        resumed_after: Steps that were done before, by a run that died.
    """

    warmup: CallTable
    warmup_s: float
    calls: CallTable
    step_s: NDArray[np.float64]
    wall_s: float
    think_s: float
    hints: Stats
    resumed_after: int = 0

    @property
    def busy_s(self) -> float:
        """Seconds in which the simulation waited for answers."""
        return self.wall_s - self.think_s

    def faster(self, times: float) -> Run:
        """Return the same with all seconds divided."""
        return self._replace(
            warmup=self.warmup.faster(times),
            warmup_s=self.warmup_s / times,
            calls=self.calls.faster(times),
            step_s=self.step_s / times,
            wall_s=self.wall_s / times,
            think_s=self.think_s / times,
        )


def drive(
    workload: Workload,
    target: Target,
    run_options: RunOptions,
    watch: WatchStep,
    checkpoint: Checkpoint,
) -> Run:
    """Run a workload on a stack with Ray workers; Ray must be initialised.

    They are on all nodes of the cluster, or on this one where only it reaches the stack.

    Steps in the checkpoint are not run again. Failed calls are counted, not raised.

    Raises:
        ray.exceptions.RayActorError: A worker process died.
    """
    import ray

    placed = placement(target.base_url)
    worker = ray.remote(num_cpus=0, scheduling_strategy=placed)(LoadGenerator)
    generators = [
        worker.remote(workload, (part, run_options.workers), target)
        for part in range(run_options.workers)
    ]
    hints = target.simulation(workload.name)

    def act(step: int) -> CallTable:
        if hints is not None:
            report_calls(hints, workload, step)
        at_once = (
            run_options.concurrency if step else min(run_options.concurrency, _WARMUP_CONCURRENCY)
        )
        share = max(1, at_once // run_options.workers)
        calls = joined(ray.get([generator.act.remote(step, share) for generator in generators]))
        watch(step, calls)
        return calls

    done = checkpoint.steps()
    resumed_after = len(done)
    try:
        begin = time.monotonic()
        warmup = act(0)
        warmup_s = time.monotonic() - begin
        for step in range(resumed_after + 1, workload.steps + 1):
            begin = time.monotonic()
            calls = act(step)
            done.append(Step(calls, time.monotonic() - begin))
            checkpoint.save(step, done[-1])
            time.sleep(run_options.think_s)
        stats = ray.get([generator.close.remote() for generator in generators])
    finally:
        for generator in generators:
            ray.kill(generator)
        if hints is not None:
            hints.close()
    if hints is not None:
        stats.append(hints.stats)
    return run_of(done, run_options, warmup, warmup_s, _total(stats), resumed_after)


def run_of(
    steps: list[Step],
    run_options: RunOptions,
    warmup: CallTable,
    warmup_s: float,
    hints: Stats,
    resumed_after: int,
) -> Run:
    """Return what an arm did, from its completed steps."""
    step_s = np.array([step.seconds for step in steps])
    think_s = len(steps) * run_options.think_s
    calls = joined(step.calls for step in steps)
    wall_s = float(step_s.sum()) + think_s
    return Run(warmup, warmup_s, calls, step_s, wall_s, think_s, hints, resumed_after)


def report_calls(hints: Simulation, workload: Workload, step: int) -> None:
    """Report who calls in a step and in those that the simulation foresees."""
    schedule = workload.schedule
    known = range(step, min(step + _FORESEEN_STEPS + 1, len(schedule)))
    now, *upcoming = ([workload.agents[row] for row in schedule.active(each)] for each in known)
    if schedule.ordered:
        hints.step(step, order=now, upcoming=upcoming)
    else:
        hints.step(step, now, upcoming=upcoming)


def _total(stats: list[Stats]) -> Stats:
    sent, dropped, failed, errors = zip(*stats, strict=True)
    return Stats(sum(sent), sum(dropped), sum(failed), next(filter(None, errors), ""))
