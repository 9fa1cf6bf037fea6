"""Loops are compiled wherever this runs, and kept where that is possible."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.caching import CacheImpl

from scalesim.policies.replay.compiled import compiled


@compiled
def _doubled(number: int) -> int:
    return 2 * number


@compiled
def _sum_of_doubled(numbers: np.ndarray) -> int:
    total = 0
    for number in numbers:
        total += _doubled(number)
    return total


@pytest.mark.slow
def test_where_nothing_can_be_kept_they_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither beside the source nor in a home, as numba looks for a place: on OpenShift."""
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    assert _sum_of_doubled(np.arange(4)) == 12
