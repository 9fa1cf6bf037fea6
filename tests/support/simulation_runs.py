"""Runs made up for tests of what is reported, and what those that run have done so far."""

from pathlib import Path
from typing import Any

import numpy as np

from scalesim.headers import CachedTokens
from scalesim.sender import Stats
from scalesim.simulations.arm_run import Run
from scalesim.simulations.arms import ArmOutcome
from scalesim.simulations.call_table import CallRow, calls_of
from scalesim.simulations.chat_caller import Answer
from scalesim.simulations.driver.journal import Journal
from scalesim.simulations.society import society
from scalesim.simulations.workload import PromptSize, Workload
from scalesim.vocabulary import TransferStats

SIZE = PromptSize(private=64, observation=8, output=4)


def small_society(steps: int = 2) -> Workload:
    return society(agents=5, steps=steps, active=0.4, size=SIZE, seed=0)


def saved_steps(out: Path) -> list[int]:
    """Return the steps on disk of a run that reports to a folder."""
    folders = [file.parent for file in out.glob("checkpoint/**/calls.msgpack")]
    return [saved.step for folder in folders for saved in Journal(folder).steps()]


STATUS = {
    "uses": {"0": 6, "1": 1, "more": 0, "none": 1},
    "hints": {"early_steps": 1.0, "late_steps": 0.0, "age_steps": 14.0},
    "replicas": {
        name: {
            "transfers": {
                "prefix": TransferStats("prefix", issued=4, used=3, used_bytes=2**20)._asdict()
            }
        }
        for name in ("r0", "r1")
    },
}
"""What a stack with a controller says, as far as it is reported."""


def outcome(
    workload: Workload,
    cached: CachedTokens,
    *,
    busy_s: float,
    text: str,
    error: str = "",
    status: dict[str, Any] | None = None,
) -> ArmOutcome:
    """Return an arm in which every call found the same and returned the same text."""
    called = [
        CallRow(
            step, row, 0, Answer(text, error, step + row / 100, 0.1 * step, 0.2, cached, 4, "r0")
        )
        for step in range(workload.steps + 1)
        for row in workload.schedule.active(step).tolist()
    ]
    return ArmOutcome(
        Run(
            warmup=calls_of([call for call in called if call.step == 0]),
            warmup_s=1.0,
            calls=calls_of([call for call in called if call.step > 0]),
            step_s=np.full(workload.steps, busy_s / workload.steps),
            wall_s=busy_s + 0.6,
            think_s=0.6,
            hints=Stats(),
        ),
        status=status or {},
    )
