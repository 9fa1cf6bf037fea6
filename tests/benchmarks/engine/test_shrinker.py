"""Delta debugging and forks."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine.shrinker import TRIES, shrunk
from scalesim.deployments.engine.emulation.forks import in_fork


@given(st.sets(st.integers(0, 59), min_size=1, max_size=3))
def test_what_is_left_is_what_it_takes(culprits: set[int]) -> None:
    tries = []

    def fails(part: list[int]) -> bool:
        tries.append(part)
        return culprits <= set(part)

    left = shrunk(range(60), fails)
    assert culprits <= set(left)
    assert len(tries) <= TRIES
    assert len(left) <= 12


def test_one_culprit_is_found_alone() -> None:
    assert shrunk("abcdefgh", lambda part: "f" in part) == ["f"]


def test_order_is_kept() -> None:
    part = shrunk([3, 1, 2], lambda part: 3 in part and 2 in part)
    assert part == [3, 2]


def test_a_fork_tells_what_it_found() -> None:
    assert in_fork(lambda: {"pid": os.getppid()}) == {"pid": os.getpid()}


def test_a_fork_that_raises_tells_its_fault() -> None:
    found = in_fork(lambda: {"never": 1 // 0})
    assert found["fault"].startswith("ZeroDivisionError")
    assert any("1 // 0" in line for line in found["where"])


@pytest.mark.parametrize("end", ["dies", "hangs"])
def test_a_fork_that_never_tells_is_a_fault(end: str) -> None:
    def never() -> dict:
        if end == "hangs":
            os.read(os.pipe()[0], 1)
        os._exit(1)

    assert "died or did not end" in in_fork(never, timeout_s=0.2)["fault"]
