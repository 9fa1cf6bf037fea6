from __future__ import annotations

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.storage.known_pages import KnownPages


def test_a_page_reported_twice_counts_once() -> None:
    pages = KnownPages(100)
    pages.own(1, [("a", "b")])
    pages.add("a", 10)
    assert (pages.held_bytes, pages.take_changed()) == (10, {1})
    pages.add("a", 10)
    assert (pages.held_bytes, pages.take_changed()) == (10, set())


def test_a_page_that_is_not_there_ends_its_chain() -> None:
    pages = KnownPages(100)
    pages.own(1, [("a", "b", "c")])
    for name in "abc":
        pages.add(name, 10)
    pages.take_changed()
    pages.remove(["b", "unknown"])
    assert (pages.holds(("a", "b", "c")), pages.held_bytes, pages.take_changed()) == (1, 20, {1})


def test_past_the_quota_the_farthest_agents_last_page_is_forgotten() -> None:
    order = DistanceOrder()
    order.push((1, 2), (9.0, 1.0))
    pages = KnownPages(30)
    pages.nearest = order.nearest
    pages.own(1, [("a", "b")])
    pages.own(2, [("c", "d")])
    for name in "abcd":
        pages.add(name, 10)
    assert [pages.holds(chain) for chain in (("a", "b"), ("c", "d"))] == [0, 2]
