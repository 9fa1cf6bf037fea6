"""Busy engines tell a real controller what changed, over real Ray calls, for a moment."""

from __future__ import annotations

import pytest

from scalesim.cli.replica_load import Timing, line_of, measure_updates

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_local")]


def test_engines_tell_the_controller_and_are_directed() -> None:
    (row,) = measure_updates([2], Timing(3, 6))
    assert row["replicas"] == 2
    assert row["updates_per_s"] > 0 < row["busy_share"]
    assert row["directed_s"]["measured"] > 0 < row["empty_busy_share"]
    assert "   2 replicas: controller" in row["line"]


def test_a_line_tells_also_that_nobody_was_directed() -> None:
    nobody = {"p50": None, "p99": None, "measured": 0}
    row = {"replicas": 1, "busy_share": 1.0, "empty_busy_share": 0.1, "updates_per_s": 2.0}
    assert line_of({**row, "interval_s": 0.5, "directed_s": nobody}).endswith("nobody was directed")
