"""What the arms run: the society, and the generated trace of every class of simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.workloads import WORKLOADS, generate
from scalesim.simulation import Simulation
from scalesim.simulations.coordinator import report_calls
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.society import society
from scalesim.simulations.workload import PromptSize, Workload

ReportStep = Callable[[Simulation, Workload, int], None]
"""Called when a step begins; reports the simulation's hints."""

CLASSES = ("society", *WORKLOADS)

_HORIZON = 64
"""Steps generated, of which as many are run as hold the calls wanted."""


class Played(NamedTuple):
    """A workload, and how its simulation reports what it foresees."""

    workload: Workload
    report: ReportStep


class _Unforeseen(Schedule):
    """Says nothing as calls end: the estimators speak at the beginning of each step."""

    def next_use(self, step: int) -> NDArray[np.float64]:
        return np.full(len(self.calls(0)), np.inf)


def played(
    name: str, agents: int, calls: int, size: PromptSize, seed: int, active: float = 0.2
) -> Played:
    """Return a seeded workload of about so many calls after the warm-up.

    Args:
        name: One of `CLASSES`.
        agents: How many.
        calls: Wanted; the last step is run whole.
        size: Tokens of one call.
        seed: Of prompts and activations.
        active: Share of the society that acts in a step; other classes have their own.
    """
    # An engine that runs several must not take one's agents, and what it learned of their prompts,
    # for another's.
    own = "-".join(map(str, (name, agents, *size, seed)))
    if name == "society":
        steps = max(2, round(calls / max(1, round(active * agents))))
        town = society(agents=agents, steps=steps, active=active, size=size, seed=seed)
        return Played(replace(town, name=own), report_calls)
    trace, foreseen = generate(name, agents, _HORIZON, seed)
    rows = [trace.agent[trace.step == step] for step in range(_HORIZON)]
    until = next(
        (n for n, made in enumerate(accumulate(map(len, rows)), 1) if made >= calls), _HORIZON
    )
    schedule = _Unforeseen(agents, rows, ordered=False)
    workload = Workload(own, trace.names, schedule, until, size, seed)
    return Played(workload, _report_foreseen(foreseen))


def _report_foreseen(foreseen: NDArray[np.float32]) -> ReportStep:
    def report_step(hints: Simulation, workload: Workload, step: int) -> None:
        hints.step(step)
        if step:  # the warm-up comes before what was foreseen
            hints.distances(workload.agents, foreseen[step - 1].tolist())

    return report_step
