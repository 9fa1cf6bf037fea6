import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.balance import Population, rebalanced

NOBODY_ELSE = np.zeros(2)


def population(place, distance=None, *, move_s=0.0, movable=True, request_s=1.0):
    n = len(place)
    return Population(
        place=np.asarray(place, np.int32),
        distance=np.zeros(n, np.float32) if distance is None else np.asarray(distance, np.float32),
        state_bytes=np.full(n, 10, np.int64),
        request_s=np.broadcast_to(np.float64(request_s), n),
        move_s=np.broadcast_to(np.asarray(move_s, np.float64), n),
        movable=np.broadcast_to(np.asarray(movable), n),
    )


def test_a_crowded_step_is_spread():
    place = rebalanced(population([0, 0, 0, 0]), NOBODY_ELSE)
    assert np.bincount(place).tolist() == [2, 2]


def test_level_agents_stay():
    place = [0, 1, 2, 0, 1, 2]
    assert rebalanced(population(place), np.zeros(3)).tolist() == place


def test_a_move_must_pay_for_itself():
    crowded = [0, 0, 0, 1]
    assert rebalanced(population(crowded, move_s=5.0), NOBODY_ELSE).tolist() == crowded
    after = rebalanced(population(crowded, move_s=0.5), NOBODY_ELSE)
    assert np.bincount(after).tolist() == [2, 2]


def test_those_who_do_not_fit_together_move_whatever_that_costs():
    crowded = population([0, 0, 0, 0, 1], move_s=5.0)
    assert rebalanced(crowded, NOBODY_ELSE, device_bytes=np.array([40, 40])).tolist() == [
        *(0, 0, 0, 0, 1)
    ]
    after = rebalanced(crowded, NOBODY_ELSE, device_bytes=np.array([30, 40]))
    assert after.tolist() == [1, 0, 0, 0, 1]
    full = population([0, 0, 0, 0, 1, 1, 1], move_s=5.0)
    assert rebalanced(full, NOBODY_ELSE, device_bytes=np.array([30, 30])).tolist() == [
        *(0, 0, 0, 0, 1, 1, 1)
    ]


def test_each_step_is_levelled_by_itself():
    place = [0, 0, 1, 1]
    spread = rebalanced(population(place, [0, 0, 1, 1], move_s=0.1), NOBODY_ELSE)
    assert set(spread[:2].tolist()) == set(spread[2:].tolist()) == {0, 1}


def test_state_that_must_stay_stays():
    assert rebalanced(population([0, 0, 0, 0], movable=False), NOBODY_ELSE).tolist() == [0] * 4
    movable = [True, False, False, True]
    assert rebalanced(population([0] * 4, movable=movable), NOBODY_ELSE).tolist() == [1, 0, 0, 1]


def test_memory_is_levelled_with_agents_that_lose_nothing():
    """Farthest first, whether or not those that act soon may move."""
    far = population([0] * 4, [9, 8, 7, 6], move_s=[0, 0, 0, 1.0])
    assert rebalanced(far, np.array([0, 0])).tolist() == [1, 1, 0, 0]
    assert rebalanced(far, np.array([0, 40])).tolist() == [0] * 4
    soon = population([0] * 4, [0, 0, 9, 9], movable=[False, False, True, True])
    assert rebalanced(soon, NOBODY_ELSE).tolist() == [0, 0, 1, 1]


def test_moves_are_bounded_and_the_nearest_step_is_served_first():
    crowded = population([0] * 8, [1, 1, 1, 1, 0, 0, 0, 0])
    assert rebalanced(crowded, NOBODY_ELSE, most_moves=2).tolist() == [0, 0, 0, 0, 1, 1, 0, 0]
    assert rebalanced(crowded, NOBODY_ELSE, most_moves=0).tolist() == [0] * 8


@pytest.mark.slow
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.floats(0, 3),
    st.integers(0, 5),
)
def test_no_step_gets_longer(place, move_s, seed):
    rng = np.random.default_rng(seed)
    agents = population(place, rng.integers(0, 3, len(place)), move_s=move_s + 0.01)
    after = rebalanced(agents, np.zeros(4))
    for step in range(2):
        active = agents.distance == step
        extra = np.where(after != agents.place, agents.move_s, 0.0)[active]
        before_s = np.bincount(agents.place[active], agents.request_s[active], 4).max()
        after_s = np.bincount(after[active], agents.request_s[active] + extra, 4).max()
        assert after_s <= before_s + 1e-9
