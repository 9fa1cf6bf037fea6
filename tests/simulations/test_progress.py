"""The live line of an arm."""

from __future__ import annotations

import re

from scalesim.headers import CachedTokens
from scalesim.simulations.progress import ArmsProgress
from tests.simulations.runs import outcome, small_society


def test_a_line_tells_step_clock_rates_tiers_stragglers_and_errors() -> None:
    workload = small_society(steps=2)
    run = outcome(workload, CachedTokens(76, 32, 16), busy_s=1.0, text="w", error="HTTP 503").run
    calls = run.calls
    calls.rows["latency_s"][0] = 9.0
    with ArmsProgress(workload) as progress:
        line = progress.arm("scalesim")
        (task,) = progress._bars.tasks
        line(0, run.warmup)
        assert task.fields["phase"] == "warmed up"
        line(1, calls)
        assert (task.completed, task.total) == (1, 2)
        assert task.fields["phase"] == "step 1/2"
        detail = task.fields["detail"]
        line.finish(1.0)
    assert re.match(r"day 1 \d\d:\d\d · \d+\.\d calls/s · [\d,]+ tokens/s · ", detail)
    assert "device 50% · host 25%" in detail
    assert "storage" not in detail
    assert detail.endswith("1 stragglers · 4 errors")


def test_a_town_has_a_clock_that_goes_on() -> None:
    hours = small_society(steps=4).hours
    assert list(hours) == sorted(hours)
    assert 0 < hours[0] < 24
