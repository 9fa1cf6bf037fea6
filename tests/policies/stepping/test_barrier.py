"""The barrier gives out one step after the other, in waves where there is an order."""

import numpy as np

from scalesim.policies.stepping import Barrier


def test_all_of_a_step_then_the_next_one_that_somebody_acts_in() -> None:
    barrier = Barrier(np.array([0, 0, 3]), end=4)
    assert barrier.begin().tolist() == [0, 1]
    assert barrier.waves().tolist() == [0, 0, 3]
    assert barrier.done(np.array([1]), np.array([9])).tolist() == []
    assert barrier.done(np.array([0]), np.array([3])).tolist() == [0, 2]
    assert barrier.floor() == 3
    assert barrier.done(np.array([0, 2]), np.array([4, 4])).tolist() == []
    assert barrier.waves().tolist() == [np.inf] * 3


def test_ranks_are_waves_within_a_step() -> None:
    ranks = {0: np.array([2, 0, 0]), 1: np.array([0, 1, 2])}
    barrier = Barrier(np.zeros(3, np.int64), end=2, ranks=ranks.__getitem__)
    assert barrier.begin().tolist() == [1, 2]
    assert barrier.waves().tolist() == [1, 0, 0]
    assert barrier.done(np.array([1, 2]), np.array([1, 1])).tolist() == [0]
    assert barrier.done(np.array([0]), np.array([1])).tolist() == [0]
    assert barrier.waves().tolist() == [0, 1, 2]
