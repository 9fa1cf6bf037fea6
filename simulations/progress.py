"""Progress of the arms: step, clocks, rates, tiers of prefixes, stragglers.

Live on a terminal; elsewhere a line every few seconds for the arm that runs.
"""

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
from scalesim.simulations.progress_lines import PERIOD_S, ProgressLines
from scalesim.simulations.summary import prefix_tokens
from scalesim.simulations.workload import Workload
from scalesim.vocabulary import STRAGGLER, TIERS


class ArmsProgress:
    """Two lines an arm, on standard error; used as a context manager.

    Args:
        workload: What the arms run.
        console: Where to; standard error by default.
        period_s: Seconds between two lines where it is not a terminal.
    """

    def __init__(
        self, workload: Workload, console: Console | None = None, period_s: float = PERIOD_S
    ) -> None:
        self._workload = workload
        console = console or Console(stderr=True)
        self._bars = _Bars(
            TextColumn("[bold]{task.fields[arm]:>8}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[phase]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]ETA"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._lines = (
            None if console.is_terminal else ProgressLines(console, self._bars.lines, period_s)
        )

    def arm(self, name: str) -> ArmProgress:
        """Begin a line for an arm."""
        task = self._bars.add_task(
            "",
            total=self._workload.steps,
            arm=name,
            phase="starting the stack",
            detail="",
            ended=False,
        )
        return ArmProgress(self._bars, task, self._workload)

    def __enter__(self) -> ArmsProgress:
        self._bars.start()
        if self._lines is not None:
            self._lines.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._lines is not None:
            self._lines.stop()
        self._bars.stop()


class _Bars(Progress):
    """Progress bars, with the details that do not fit into eighty columns on lines below."""

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            yield Text(f"{'':>8} {task.fields['detail']}", style="dim")

    def lines(self) -> list[str]:
        """Return a line for each arm that is under way."""
        return [
            f"{task.fields['arm']}: {task.fields['phase']}, {task.elapsed or 0:.0f} s"
            + (f" · {task.fields['detail']}" if task.fields["detail"] else "")
            for task in self.tasks
            if not task.fields["ended"]
        ]


class ArmProgress:
    """One arm's line; call it after each step."""

    def __init__(self, bars: Progress, task: TaskID, workload: Workload) -> None:
        self._bars, self._task, self._workload = bars, task, workload
        self._begin = time.monotonic()
        self._calls = self._failed = self._tokens = 0
        self._found = dict.fromkeys((*TIERS, "total"), 0)

    def __call__(self, step: int, calls: CallTable) -> None:
        """Count a step's calls; step 0 is the warm-up."""
        if step == 0:
            self._begin = time.monotonic()
            phase, detail = "warmed up", f"{len(calls.texts)} agents"
            if not calls.texts:  # a World has no warm-up
                phase, detail = "step 1", ""
            self._bars.update(self._task, phase=phase, detail=detail)
            return
        self._calls += len(calls.texts)
        self._failed += calls.failed
        self._tokens += int((calls.rows["prompt_tokens"] + calls.rows["output_tokens"]).sum())
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
        usual = np.median(latency) if len(latency) else 0.0
        stragglers = int(np.count_nonzero(latency > STRAGGLER * usual))
        hours = self._workload.hours[step - 1 : step]
        parts = [
            *(f"day {int(at) // 24 + 1} {int(at) % 24:02}:{int(at * 60) % 60:02}" for at in hours),
            f"{self._calls / elapsed:.1f} calls/s",
            f"{self._tokens / elapsed:,.0f} tokens/s",
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
        """Note that the arm is done; where there is no terminal, print its last line."""
        self._bars.update(self._task, phase=f"busy {busy_s:.1f} s", ended=True)
        if self._bars.disable:
            (arm,) = (task.fields["arm"] for task in self._bars.tasks if task.id == self._task)
            self._bars.console.print(f"{arm}: done, busy {busy_s:.1f} s", highlight=False)
