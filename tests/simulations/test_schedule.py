"""Schedules: who acts, in which order, and when next."""

import tracemalloc

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


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_asked_of_one_agent_is_what_its_steps_say(ordered: bool) -> None:
    draw = np.random.default_rng(1)
    calls = [draw.integers(0, 5, draw.integers(0, 8)).astype(np.int32) for _ in range(9)]
    schedule = Schedule(5, calls, ordered=ordered)
    for step in range(len(schedule)):
        by_one = [schedule.next_use_of(row, step) for row in range(5)]
        assert by_one == schedule.next_use(step).tolist()
    for step in range(1, len(schedule)):
        counts = np.bincount(schedule.calls(step), minlength=5).tolist()
        assert [schedule.calls_of(row, step) for row in range(5)] == counts


def test_memory_grows_with_calls_and_not_with_agents_by_steps() -> None:
    tracemalloc.start()
    schedule = Schedule(10_000, [rows(step) for step in range(500)], ordered=False)
    assert schedule.next_use_of(499, 3) == 500
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4_000_000  # a number an agent and step would be 40 MB
