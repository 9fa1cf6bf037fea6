from math import inf

import numpy as np

from scalesim.deployments.engine.eviction_order import FEW, NEEDED, PINNED, DistanceOrder


def test_unknown_keys_are_infinitely_far() -> None:
    assert DistanceOrder().distance(1) == inf
    assert DistanceOrder().nearest(()) == inf


def test_a_shared_node_takes_its_nearest_owner() -> None:
    order = DistanceOrder()
    order.push((1, 2), (5.0, 2.0))
    assert order.nearest({1, 2, 3}) == 2.0


def test_infinity_forgets() -> None:
    order = DistanceOrder()
    order.push((1,), (5.0,))
    order.push((1,), (inf,))
    assert order.distance(1) == inf
    order.push((1, 1, 2), (5.0, inf, inf))
    order.push((1, 1), (inf, inf))
    assert len(order) == 0, "and leaves nothing behind"


MANY = range(FEW + 1)


def test_many_distances_at_once_are_a_new_version_and_few_are_told_one_by_one() -> None:
    order = DistanceOrder()
    order.push(MANY, [3.0] * len(MANY))
    assert order.version == 1
    assert [*map(order.distance, MANY)] == [3.0] * len(MANY)
    nearly_the_same = np.full(len(MANY), 3.0, np.float32)
    nearly_the_same[2:4] = 2.0, 4.0
    assert order.push(np.array(MANY), nearly_the_same) == [3]
    assert order.push((2, 3), (2.5, 1.0)) == [2]
    assert (order.version, order.distance(2), order.distance(3)) == (1, 2.5, 1.0)


def test_of_a_key_named_twice_among_many_the_last_distance_counts() -> None:
    order = DistanceOrder()
    order.push([7, 8, 7, 8, *MANY], [1.0, 2.0, inf, 4.0, *[9.0] * len(MANY)][: 4 + len(MANY)])
    assert (order.distance(7), order.distance(8)) == (9.0, 9.0)
    order.push([70, 80, 70, 80, *MANY], [1.0, 2.0, inf, 4.0, *[9.0] * len(MANY)])
    assert (order.distance(70), order.distance(80)) == (inf, 4.0)


def test_many_infinities_leave_nothing_behind_but_what_is_noted() -> None:
    order = DistanceOrder()
    order.push(MANY, [3.0] * len(MANY))
    row = order.note({3, 4, 99})
    assert order.values[row] == 3.0
    order.push([*MANY, 500], [inf] * (len(MANY) + 1))
    assert order.values[row] == inf
    assert len(order) == 1
    order.unnote(3)
    assert len(order) == 0
    assert order.note({5}) == row, "and it is used again"


def test_a_pinned_key_stays_pinned_among_many_and_takes_their_distance_later() -> None:
    order = DistanceOrder()
    order.pin(3)
    order.push(MANY, [5.0] * len(MANY))
    order.push((3,), (6.0,))
    assert order.distance(3) == PINNED
    order.push(MANY, [7.0] * len(MANY))
    assert order.nearest({3, 4}) == PINNED
    order.unpin(3)
    assert order.distance(3) == 7.0
    order.pin(3)
    order.push(MANY, [inf] * len(MANY))
    order.unpin(3)
    assert len(order) == 0


def test_a_pinned_key_is_nearer_than_now_until_unpinned() -> None:
    order = DistanceOrder()
    order.push((1,), (7.0,))
    order.pin(1)
    assert order.distance(1) == PINNED < 0.0
    order.unpin(1)
    order.unpin(2)
    assert order.distance(1) == 7.0


def test_what_requests_need_is_as_near_as_can_be() -> None:
    order = DistanceOrder()
    order.push((1, 2), (7.0, 1.0))
    order.need(1)
    order.need(3)  # of whom nothing was reported
    assert [order.distance(key) for key in (1, 2, 3)] == [NEEDED, 1.0, NEEDED]
    order.push((1,), (9.0,))
    order.push(np.arange(1, 40), np.full(39, 5.0))
    assert [order.distance(key) for key in (1, 2, 3)] == [NEEDED, 5.0, NEEDED]
    for key in (1, 3, 99):
        order.unneed(key)
    assert [order.distance(key) for key in (1, 3, 99)] == [5.0, 5.0, inf]


def test_what_is_needed_may_be_pinned_too() -> None:
    order = DistanceOrder()
    order.push((1,), (7.0,))
    order.need(1)
    order.pin(1)
    assert order.distance(1) == PINNED
    order.unneed(1)
    assert order.distance(1) == PINNED
    order.need(1)
    order.unpin(1)
    assert PINNED < order.distance(1) == NEEDED < 0.0
    order.unneed(1)
    assert order.distance(1) == 7.0
