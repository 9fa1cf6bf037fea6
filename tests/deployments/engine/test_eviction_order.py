from math import inf

from scalesim.deployments.engine.eviction_order import PINNED, DistanceOrder


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
    assert order._distances == {}, "and leaves nothing behind"


def test_a_pinned_key_is_nearer_than_now_until_unpinned() -> None:
    order = DistanceOrder()
    order.push((1,), (7.0,))
    order.pin(1)
    assert order.distance(1) == PINNED < 0.0
    order.unpin(1)
    order.unpin(2)
    assert order.distance(1) == 7.0
