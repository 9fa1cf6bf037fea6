"""Live progress of the arms on a terminal: step, clocks, rates, tiers of prefixes, stragglers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from scalesim.simulations.call_table import CallTable
from scalesim.simulations.summary import TIERS, prefix_tokens
from scalesim.simulations.workload import Workload

_STRAGGLER = 2.0
"""A call is a straggler when it takes this many times the median of its step."""


class ArmsProgress:
    """Two lines an arm, on standard error; used as a context manager."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._bars = _Bars(
            TextColumn("[bold]{task.fields[arm]:>8}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[phase]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]ETA"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )

    def arm(self, name: str) -> ArmProgress:
        """Begin a line for an arm."""
        task = self._bars.add_task(
            "", total=self._workload.steps, arm=name, phase="starting the stack", detail=""
        )
        return ArmProgress(self._bars, task, self._workload)

    def __enter__(self) -> ArmsProgress:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()


class _Bars(Progress):
    """Bars with what cannot stand beside them on eighty columns below them."""

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            yield Text(f"{'':>8} {task.fields['detail']}", style="dim")


class ArmProgress:
    """One arm's line; call it after each step."""

    def __init__(self, bars: Progress, task: TaskID, workload: Workload) -> None:
        self._bars, self._task, self._workload = bars, task, workload
        self._begin = time.monotonic()
        self._calls = self._failed = 0
        self._found = dict.fromkeys((*TIERS, "total"), 0)

    def __call__(self, step: int, calls: CallTable) -> None:
        """Count a step's calls; step 0 is the warm-up."""
        if step == 0:
            self._begin = time.monotonic()
            self._bars.update(self._task, phase="warmed up", detail=f"{len(calls.texts)} agents")
            return
        self._calls += len(calls.texts)
        self._failed += calls.failed
        found = prefix_tokens(calls, self._workload.size.private)
        self._found = {tier: count + found[tier] for tier, count in self._found.items()}
        self._bars.update(
            self._task,
            completed=step,
            phase=f"step {step}/{self._workload.steps}",
            detail=self._detail(step, calls),
        )

    def _detail(self, step: int, calls: CallTable) -> str:
        elapsed = time.monotonic() - self._begin
        latency = calls.rows["latency_s"]
        stragglers = int(np.count_nonzero(latency > _STRAGGLER * np.median(latency)))
        per_call = self._workload.size.total
        hours = self._workload.hours[step - 1 : step]
        parts = [
            *(f"day {int(at) // 24 + 1} {int(at) % 24:02}:{int(at * 60) % 60:02}" for at in hours),
            f"{self._calls / elapsed:.1f} calls/s",
            f"{self._calls * per_call / elapsed:,.0f} tokens/s",
            *(
                f"{tier} {n / self._found['total']:.0%}"
                for tier in TIERS
                if (n := self._found[tier])
            ),
            f"{stragglers} stragglers",
            f"{self._failed} errors",
        ]
        return " · ".join(parts)

    def finish(self, busy_s: float) -> None:
        """Note that the arm is done."""
        self._bars.update(self._task, phase=f"busy {busy_s:.1f} s")
