"""Schedules: who acts, in which order, and when next."""

import numpy as np
import pytest

from scalesim.simulations.schedule import Schedule


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


@pytest.fixture
def calls() -> list[np.ndarray]:
    return [rows(2, 0, 2), rows(1), rows(0, 2)]


def test_step_zero_is_everyone_in_order(calls: list[np.ndarray]) -> None:
    assert Schedule(3, calls, ordered=False).calls(0).tolist() == [0, 1, 2]


def test_active_keeps_the_order_of_first_calls(calls: list[np.ndarray]) -> None:
    assert Schedule(3, calls, ordered=True).active(1).tolist() == [2, 0]


def test_next_use_looks_past_the_step_itself(calls: list[np.ndarray]) -> None:
    schedule = Schedule(3, calls, ordered=False)
    assert schedule.next_use(0).tolist() == [1, 2, 1]
    assert schedule.next_use(1).tolist() == [3, 2, 3]
    assert schedule.next_use(2).tolist() == [3, np.inf, 3]
    assert schedule.next_use(3).tolist() == [np.inf] * 3


def test_next_use_carries_the_position_where_the_order_is_known(calls: list[np.ndarray]) -> None:
    assert Schedule(3, calls, ordered=True).next_use(0).tolist() == [1.5, 2, 1]
