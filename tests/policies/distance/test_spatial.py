import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.distance.spatial import Encounters, meeting_times

INF = float("inf")


def test_two_movers_meet_halfway_not_at_first_arrival():
    world = Encounters(2, radius=1.0, horizon_steps=100)
    world.move(np.arange(2), np.array([[0.0, 0], [10, 0]]), np.array([[1.0, 0], [-1, 0]]), 0)
    assert world.distances(0).tolist() == [4.5, 4.5]
    assert world.distances(2).tolist() == [2.5, 2.5], "time passes without a new position"


def test_parallel_and_parting_movers_never_meet():
    world = Encounters(3, radius=1.0, horizon_steps=100)
    position = np.array([[0.0, 0], [0, 5], [0, -5]])
    world.move(np.arange(3), position, np.array([[1.0, 0], [1, 0], [0, -1]]), 0)
    assert world.distances(0).tolist() == [INF, INF, INF]


def test_cooldown_holds_a_pair_that_stands_together():
    world = Encounters(2, radius=1.0, cooldown_steps=4.0)
    world.move(np.arange(2), np.zeros((2, 2)), np.zeros((2, 2)), 0)
    assert world.distances(0).tolist() == [0, 0]
    world.met(np.array([0, 1]), 1)
    assert world.distances(2).tolist() == [3, 3]


def test_meetings_beyond_the_horizon_are_unforeseen():
    world = Encounters(2, radius=1.0, horizon_steps=4)
    world.move(np.arange(2), np.array([[0.0, 0], [10, 0]]), np.array([[1.0, 0], [-1, 0]]), 0)
    assert world.distances(0).tolist() == [INF, INF]


def test_agents_without_a_position_are_unforeseen():
    assert Encounters(2, radius=1.0).distances(0).tolist() == [INF, INF]


@given(st.integers(0, 1000), st.floats(0.1, 5))
def test_the_grid_finds_what_all_pairs_find(seed, radius):
    rng = np.random.default_rng(seed)
    position, velocity = rng.uniform(0, 30, (25, 2)), rng.normal(0, 1, (25, 2))
    world = Encounters(25, radius, horizon_steps=3.0)
    world.move(np.arange(25), position, velocity, 0)
    first, second = np.triu_indices(25, 1)
    times = meeting_times(
        position[second] - position[first], velocity[second] - velocity[first], radius
    )
    expected = np.full(25, np.inf)
    for a, b, time in zip(first, second, times, strict=True):
        if time <= 3.0:
            expected[[a, b]] = np.minimum(expected[[a, b]], time)
    np.testing.assert_allclose(world.distances(0), expected, rtol=1e-5)
