from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scalesim.deployments.engine.ordered_leaves import LOOKS, OrderedLeaves


class Leaf:
    def __init__(self, number: int, distance: float = 0.0) -> None:
        self.id, self.distance, self.used = number, distance, float(number)

    def __lt__(self, other: Leaf) -> bool:
        return self.used < other.used


def priority(leaf: Leaf) -> tuple[float, float]:
    return -leaf.distance, leaf.used


def some(distances: Iterable[float]) -> tuple[OrderedLeaves, list[Leaf]]:
    subject = OrderedLeaves(priority)
    leaves = [Leaf(number, distance) for number, distance in enumerate(distances)]
    for leaf in leaves:
        subject.add(leaf)
    return subject, leaves


def order(subject: OrderedLeaves) -> list[int]:
    with subject.in_order() as walk:
        return [leaf.id for leaf in walk]


def test_the_farthest_goes_first_then_the_one_used_longest_ago() -> None:
    subject, leaves = some((1.0, 9.0, 9.0, 5.0))
    assert order(subject) == [1, 2, 3, 0]
    leaves[1].used = 99.0
    assert order(subject) == [2, 1, 3, 0]


def test_what_comes_nearer_is_found_out_and_what_becomes_farther_is_reported() -> None:
    subject, leaves = some((1.0, 9.0, 5.0))
    leaves[1].distance = 0.0
    leaves[0].distance = 7.0
    subject.farther(leaves[0])
    assert order(subject) == [0, 2, 1]


def test_what_becomes_farther_while_it_is_no_leaf_is_in_its_place_later() -> None:
    subject, leaves = some((1.0, 9.0))
    subject.discard(leaves[0])
    leaves[0].distance = 20.0
    subject.farther(leaves[0])
    assert order(subject) == [1]
    subject.add(leaves[0])
    assert order(subject) == [0, 1]


def test_leaves_that_come_while_others_go_are_met() -> None:
    subject, leaves = some((1.0, 9.0))
    parent = Leaf(7, 5.0)
    met = []
    with subject.in_order() as walk:
        for leaf in walk:
            met.append(leaf.id)
            subject.discard(leaf)
            if leaf is leaves[1]:
                subject.add(parent)
    assert met == [1, 7, 0]
    assert order(subject) == []


@pytest.mark.parametrize("moved", [LOOKS // 2, LOOKS * 4])
def test_an_order_that_turned_round_costs_a_bounded_number_of_looks(moved: int) -> None:
    subject, leaves = some(float(n) for n in range(moved))
    looks = 0

    def counted(leaf: Any) -> tuple[float, float]:
        nonlocal looks
        looks += 1
        return priority(leaf)

    subject._priority = counted
    for leaf in leaves:
        leaf.distance = -leaf.distance
    with subject.in_order() as walk:
        first = next(walk)
    assert looks <= LOOKS + 2
    among = leaves[-LOOKS:]
    assert first is max(among, key=lambda leaf: leaf.distance)


def test_leaves_that_are_gone_are_swept() -> None:
    subject = OrderedLeaves(priority)
    rng = random.Random(1)
    for number in range(20_000):
        leaf = Leaf(number, rng.random())
        subject.add(leaf)
        if number >= 10:
            subject.discard(leaf)
    assert len(subject) == 10
    assert len(subject._heap) + len(subject._old) < 4 * LOOKS
    assert len(subject._queued) < 4 * LOOKS


class LeavesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.subject = OrderedLeaves(priority)
        self.leaves = [Leaf(number) for number in range(8)]
        self.clock = 100.0

    numbers = st.integers(0, 7)

    @rule(number=numbers)
    def add(self, number: int) -> None:
        self.subject.add(self.leaves[number])

    @rule(number=numbers)
    def discard(self, number: int) -> None:
        self.subject.discard(self.leaves[number])

    @rule(number=numbers)
    def use(self, number: int) -> None:
        self.clock += 1
        self.leaves[number].used = self.clock

    @rule(number=numbers, distance=st.integers(0, 5))
    def move(self, number: int, distance: int) -> None:
        leaf = self.leaves[number]
        farther, leaf.distance = distance > leaf.distance, float(distance)
        if farther:
            self.subject.farther(leaf)

    @rule(count=st.integers(0, 3))
    def evict(self, count: int) -> None:
        expected = self.expected()[:count]
        evicted = []
        with self.subject.in_order() as walk:
            while len(evicted) < count and (leaf := next(walk, None)) is not None:
                evicted.append(leaf.id)
                self.subject.discard(leaf)
        assert evicted == expected

    def expected(self) -> list[int]:
        return [leaf.id for leaf in sorted(self.subject, key=lambda e: (priority(e), e.id))]

    @invariant()
    def in_order(self) -> None:
        assert order(self.subject) == self.expected()


TestAnyOrder = LeavesMachine.TestCase
