import numpy as np

from scalesim.policies.distance.estimator_base import Nearest
from scalesim.policies.distance.scheduled import Wake
from scalesim.policies.distance.trust import StepClock, discounted, expired

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
    clock.tick(0, 100.0)
    assert clock.step_s == 1
    clock.tick(1, 108.0)
    assert clock.step_s == 8, "the first step seen replaces the guess"
    clock.tick(3, 116.0)
    assert (clock.to_seconds(2), clock.to_steps(12)) == (12, 2)


def test_a_clock_set_back_does_no_harm():
    clock = StepClock(step_s=3.0)
    for step, now_s in [(5, 10.0), (4, 20.0), (4, 20.0), (5, 19.0)]:
        clock.tick(step, now_s)
    assert clock.step_s == 3.0
