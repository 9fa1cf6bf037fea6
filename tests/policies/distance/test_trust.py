import numpy as np
import pytest

from policies.distance.base import Nearest
from policies.distance.scheduled import Wake
from policies.distance.trust import StepClock, discounted, expired

INF = float("inf")


def test_the_nearest_reason_counts():
    first, second = Wake(3), Wake(3)
    first.wake(np.array([0, 1]), np.array([4.0, 1.0]))
    second.wake(np.array([0]), np.array([2.0]))
    assert Nearest(first, second).distances(0).tolist() == [2, 1, INF]


def test_old_distances_are_forgotten():
    age = np.array([0, 16, 17], np.float32)
    assert expired(np.ones(3, np.float32), age, 16).tolist() == [1, 1, INF]


def test_doubt_stretches_a_distance():
    distances = np.array([2, 2, 2, 0, 0], np.float32)
    confidence = np.array([1, 0.5, 0, 0, 7], np.float32)
    assert discounted(distances, confidence).tolist() == [2, 4, INF, INF, 0]


def test_the_clock_learns_how_long_steps_take():
    clock = StepClock(step_s=1.0, weight=0.5)
    for step in range(20):
        clock.tick(step, 100.0 + 8.0 * step)
    assert clock.to_seconds(2) == pytest.approx(16, rel=1e-3)
    assert clock.to_steps(16) == pytest.approx(2, rel=1e-3)


def test_a_clock_set_back_does_no_harm():
    clock = StepClock(step_s=3.0)
    for step, now_s in [(5, 10.0), (4, 20.0), (4, 20.0), (5, 19.0)]:
        clock.tick(step, now_s)
    assert clock.step_s == 3.0
