"""Runs made up for tests of what is reported."""

import numpy as np

from scalesim.headers import CachedTokens
from scalesim.sender import Stats
from simulations.arms import Outcome
from simulations.caller import Answer
from simulations.calls import Called, calls_of
from simulations.coordinator import Run
from simulations.society import society
from simulations.workload import PromptSize, Workload

SIZE = PromptSize(private=64, observation=8, output=4)


def small_society(steps: int = 2) -> Workload:
    return society(agents=5, steps=steps, active=0.4, size=SIZE, seed=0)


def outcome(workload: Workload, cached: CachedTokens, *, busy_s: float, text: str) -> Outcome:
    """Return an arm in which every call found the same and returned the same text."""
    called = [
        Called(step, row, 0, Answer(text, "", 0.0, 0.1 * step, 0.2, cached, 4, "r0"))
        for step in range(workload.steps + 1)
        for row in workload.schedule.active(step).tolist()
    ]
    return Outcome(
        Run(
            warmup=calls_of([call for call in called if call.step == 0]),
            warmup_s=1.0,
            calls=calls_of([call for call in called if call.step > 0]),
            step_s=np.full(workload.steps, busy_s / workload.steps),
            wall_s=busy_s + 0.6,
            think_s=0.6,
            hints=Stats(),
        ),
        status={},
    )
