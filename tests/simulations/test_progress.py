"""The live line of an arm, and the lines in a log."""

from __future__ import annotations

import io
import re
import threading

import pytest
from rich.console import Console

from scalesim.headers import CachedTokens
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.progress import ArmsProgress
from scalesim.simulations.progress_lines import ProgressLines, waiting
from scalesim.simulations.workload import Workload
from tests.support.simulation_runs import outcome, small_society


def shown(workload: Workload, *steps: CallTable) -> tuple[str, str]:
    """Return what a terminal shows of an arm after its steps: its bar, and what is below."""
    screen = io.StringIO()
    with ArmsProgress(workload, Console(file=screen, force_terminal=True, width=140)) as progress:
        line = progress.arm("scalesim")
        for step, calls in enumerate(steps):
            line(step, calls)
    *_, bar, below = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen.getvalue()).strip().splitlines()
    return bar.strip(), below.strip()


def test_a_line_tells_step_clock_rates_tiers_stragglers_and_errors() -> None:
    workload = small_society(steps=2)
    run = outcome(workload, CachedTokens(76, 32, 16), busy_s=1.0, text="w", error="HTTP 503").run
    run.calls.rows["latency_s"][0] = 9.0
    warm, _ = shown(workload, run.warmup)
    assert "warmed up" in warm
    bar, detail = shown(workload, run.warmup, run.calls)
    assert "step 1/2" in bar
    assert "━" * 15 + "╺" in bar
    assert re.match(r"day 1 \d\d:\d\d · \d+\.\d calls/s · [\d,]+ tokens/s · ", detail)
    assert "device 50% · host 25%" in detail
    assert "storage" not in detail
    assert detail.endswith("1 stragglers · 4 errors")


def test_a_town_has_a_clock_that_goes_on() -> None:
    hours = small_society(steps=4).hours
    assert list(hours) == sorted(hours)
    assert 0 < hours[0] < 24


class Log(io.StringIO):
    """A file that is not a terminal; notes when a text was written to it."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self._wanted = wanted
        self.written = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self._wanted in self.getvalue():
            self.written.set()
        return count


def test_without_a_terminal_lines_tell_what_the_arm_does() -> None:
    workload = small_society(steps=2)
    run = outcome(workload, CachedTokens(76, 32, 16), busy_s=1.0, text="w").run
    log = Log("scalesim: step 1/2, ")
    with ArmsProgress(workload, Console(file=log, width=80), period_s=0.001) as progress:
        done = progress.arm("stock")
        done.finish(1.5)
        line = progress.arm("scalesim")
        line(0, run.warmup)
        line(1, run.calls)
        assert log.written.wait(30)
    assert "stock: done, busy 1.5 s\n" in log.getvalue()
    (line, *_) = (row for row in log.getvalue().splitlines() if "step 1/2" in row)
    assert re.match(r"scalesim: step 1/2, \d+ s · day 1 \d\d:\d\d · .* · 0 errors$", line)
    assert "stock: busy" not in log.getvalue()


def test_a_wait_without_a_terminal_is_printed_again_and_again() -> None:
    log = Log("starting ... 0 s\nstarting ... 0 s\n")
    with waiting(Console(file=log), "starting ...", period_s=0.001):
        assert log.written.wait(30)
    assert log.getvalue().startswith("starting ...\n")


def test_lines_go_on_after_one_that_could_not_be_made(caplog: pytest.LogCaptureFixture) -> None:
    made, second = iter([ValueError("not yet")]), threading.Event()

    def lines() -> list[str]:
        for error in made:
            raise error
        second.set()
        return ["well"]

    console = Console(file=io.StringIO())
    progress = ProgressLines(console, lines, period_s=0.001)
    progress.start()
    assert second.wait(60)
    progress.stop()
    assert "could not be shown" in caplog.text
    assert "well" in console.file.getvalue()  # type: ignore[attr-defined]
