import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.shares import fair_distances, max_min_shares, over_quota, over_share

FREE = np.ones(8)
"""Quotas of simulations that have none."""

demands = st.lists(st.floats(0, 1e6), min_size=1, max_size=20).map(np.array)


def test_who_asks_for_little_gets_it():
    shares = max_min_shares(np.array([10.0, 100.0, 100.0]), 90)
    assert shares.tolist() == [10, 40, 40]


@given(demands, st.floats(0, 1e6))
def test_shares_use_the_budget_and_wrong_nobody(demand, budget):
    shares = max_min_shares(demand, budget)
    assert (shares <= demand).all()
    np.testing.assert_allclose(shares.sum(), min(budget, demand.sum()), atol=1e-6, rtol=1e-9)
    unmet = shares < demand
    if unmet.any():
        assert shares[unmet].min() >= shares.max() - 1e-6


def test_one_simulation_alone_is_never_over():
    assert not over_share(np.zeros(3, np.int32), np.full(3, 99), 10, FREE).any()
    assert over_share(np.zeros(0, np.int32), np.zeros(0, np.int64), 10, FREE).tolist() == []


def test_a_quota_bounds_a_simulation_that_is_alone_too():
    alone = np.zeros(3, np.int32)
    half = np.array([0.5])
    assert over_share(alone, np.full(3, 10), 30, half).tolist() == [False, True, True]
    assert over_quota(alone, np.full(3, 10), 30, half).tolist() == [False, True, True]
    distance = np.array([2, 0, 1], np.float32)
    fair = fair_distances(distance, np.full(3, 10), alone, 40, half)
    assert np.argsort(fair).tolist() == [1, 2, 0]
    assert fair[0] > 1e6
    assert not over_quota(alone, np.full(3, 10), 30, FREE).any()


def test_claiming_everything_evicts_nobody_else():
    distance = np.array([0, 0, 0, 0, 3, 4, np.inf], np.float32)
    simulation = np.array([0, 0, 0, 0, 1, 1, 1], np.int32)
    fair = fair_distances(distance, np.full(7, 10), simulation, 40, FREE)
    assert np.argsort(fair, kind="stable")[:4].tolist() == [0, 1, 4, 5]
    assert distance.tolist()[:4] == [0, 0, 0, 0], "the input is left alone"
    assert np.isinf(fair[6])


def test_honest_simulations_with_room_keep_their_distances():
    distance = np.array([0, 1, 2, 3], np.float32)
    simulation = np.array([0, 1, 0, 1], np.int32)
    fair = fair_distances(distance, np.full(4, 10), simulation, 40, FREE)
    assert fair.tolist() == distance.tolist()


def test_who_tells_no_distance_claims_no_share():
    distance = np.array([0, 5, np.inf, np.inf], np.float32)
    simulation = np.array([1, 1, 0, 0], np.int32)
    assert fair_distances(distance, np.full(4, 10), simulation, 15, FREE) is distance


def test_what_is_past_the_share_keeps_its_order():
    distance = np.array([9, 7, 8, 0, 0, 0], np.float32)
    simulation = np.array([1, 1, 1, 0, 0, 0], np.int32)
    fair = fair_distances(distance, np.full(6, 10), simulation, 20, FREE)
    assert np.argsort(fair, kind="stable").tolist() == [3, 1, 4, 5, 2, 0]
    assert fair[0] > fair[2] * 1.1, "distinguished within the slack of pushes"
