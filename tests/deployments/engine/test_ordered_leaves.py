from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from scalesim.deployments.engine import ordered_leaves
from scalesim.deployments.engine.eviction_order import FEW, DistanceOrder
from scalesim.deployments.engine.ordered_leaves import LOOKS, SELECTED, OrderedLeaves


class Leaf:
    """A leaf of one agent, unless it is given others."""

    def __init__(self, number: int) -> None:
        self.id, self.last_access_time = number, float(number)
        self.owners = {number}


class LeavesOfOwners:
    """Leaves and the distances of their owners."""

    def __init__(self) -> None:
        self.distances = DistanceOrder()
        self.leaves = OrderedLeaves(self.priority, self.distances)
        self.looks = 0

    def priority(self, leaf: Leaf) -> tuple[float, float]:
        self.looks += 1
        return -self.distances.nearest(leaf.owners), leaf.last_access_time

    def push(self, distances: dict[int, float], among: Iterable[Leaf]) -> None:
        farther = self.distances.push([*distances], [*distances.values()])
        for leaf in among:
            if leaf.owners & set(farther):
                self.leaves.farther(leaf)

    def order(self) -> list[int]:
        with self.leaves.in_order() as walk:
            return [leaf.id for leaf in walk]

    def expected(self) -> list[int]:
        return [leaf.id for leaf in sorted(self.leaves, key=self.priority)]


def some(distances: Iterable[float]) -> tuple[LeavesOfOwners, list[Leaf]]:
    tree, sent = LeavesOfOwners(), list(distances)
    tree.distances.push(range(len(sent)), sent)
    leaves = [Leaf(number) for number in range(len(sent))]
    for leaf in leaves:
        tree.leaves.add(leaf)
    return tree, leaves


def test_the_farthest_goes_first_then_the_one_used_longest_ago() -> None:
    tree, leaves = some((1.0, 9.0, 9.0, 5.0))
    assert tree.order() == [1, 2, 3, 0]
    leaves[1].last_access_time = 99.0
    assert tree.order() == [2, 1, 3, 0]


def test_what_comes_nearer_is_found_out_and_what_becomes_farther_is_reported() -> None:
    tree, leaves = some((1.0, 9.0, 5.0))
    assert tree.order() == [1, 2, 0]
    tree.push({1: 0.0, 0: 7.0}, leaves)
    assert tree.order() == [0, 2, 1]


def test_what_becomes_farther_while_it_is_no_leaf_is_in_its_place_later() -> None:
    tree, leaves = some((1.0, 9.0))
    assert tree.order() == [1, 0]
    tree.leaves.discard(leaves[0])
    tree.push({0: 20.0}, leaves)
    assert tree.order() == [1]
    tree.leaves.add(leaves[0])
    assert tree.order() == [0, 1]


def test_leaves_that_come_while_others_go_are_met() -> None:
    tree, leaves = some((1.0, 9.0, 0.5))
    tree.distances.push((7,), (5.0,))
    met = []
    with tree.leaves.in_order() as walk:
        for leaf in walk:
            met.append(leaf.id)
            if leaf is not leaves[2]:
                tree.leaves.discard(leaf)
            if leaf is leaves[1]:
                tree.leaves.add(Leaf(7))
    assert met == [1, 7, 0, 2]
    assert tree.order() == [2]


@pytest.mark.parametrize("leaves", [SELECTED - 1, SELECTED, SELECTED + 1, 5 * SELECTED])
@pytest.mark.parametrize("values", [1, 7, 10**6])
def test_more_leaves_than_are_selected_at_once_come_in_order(leaves: int, values: int) -> None:
    tree, there = some(float(7919 * n % values) for n in range(leaves))
    assert tree.order() == tree.expected()
    with tree.leaves.in_order() as walk:  # those that stay are met once, and keep their place
        assert len([next(walk) for _ in range(SELECTED - 1)]) == SELECTED - 1
    for leaf in there[::2]:
        tree.leaves.discard(leaf)
    assert tree.order() == tree.expected()


def test_an_order_that_turned_round_is_seen_at_once() -> None:
    tree, leaves = some(float(n) for n in range(5 * SELECTED))
    with tree.leaves.in_order() as walk:
        assert next(walk) is leaves[-1]
    tree.push({leaf.id: -float(leaf.id) for leaf in leaves}, leaves)
    tree.looks = 0
    with tree.leaves.in_order() as walk:
        assert next(walk) is leaves[0]
    assert tree.looks <= 2, "one for the leaf, one to put it back"


def test_a_step_looks_at_a_bounded_number_of_leaves_that_are_nearer() -> None:
    tree, leaves = some([3.0] * 5 * SELECTED)
    with tree.leaves.in_order() as walk:
        assert next(walk) is leaves[0]
    for leaf in leaves:
        leaf.last_access_time = 10_000.0 - leaf.id
    tree.looks = 0
    with tree.leaves.in_order() as walk:
        first = next(walk)
    assert tree.looks <= LOOKS + 1
    assert first is leaves[LOOKS - 1], "the one used longest ago of those looked at"


def test_a_leaf_of_several_is_as_near_as_the_nearest() -> None:
    tree, leaves = some((1.0, 9.0, 5.0, *[0.0] * 4 * SELECTED))
    leaves[1].owners |= {5000, 0}
    assert tree.order()[:3] == [2, 0, 1]
    leaves[1].owners.discard(0)
    tree.leaves.farther(leaves[1])
    assert tree.order()[:3] == [1, 2, 0]
    tree.push({5000: 2.0}, ())
    assert tree.order()[:3] == [2, 1, 0]


def test_leaves_that_come_and_go_leave_nothing_behind() -> None:
    tree, _ = some([1.0] * 10)
    come_and_go(tree, range(10, 1000))
    with only_allocated_by(ordered_leaves) as allocated:
        come_and_go(tree, range(1000, 6000))
        assert allocated() < 20_000, "bytes; of the 5000 that went nothing is kept"
    assert len(tree.leaves) == len(tree.order()) == 10


def come_and_go(tree: LeavesOfOwners, numbers: Iterable[int]) -> None:
    """Let leaves come and go one by one, each nearer than the one before."""
    for number in numbers:
        leaf = Leaf(number)
        tree.distances.push((number,), (1.0 / number,))
        tree.leaves.add(leaf)
        if not number % 50:
            tree.order()
        tree.leaves.discard(leaf)


@contextmanager
def only_allocated_by(module: ModuleType) -> Iterator[Callable[[], int]]:
    """Yield what returns the bytes that a module's own lines have allocated since, and kept."""
    assert module.__file__ is not None
    own = tracemalloc.Filter(True, module.__file__)

    def allocated() -> int:
        gc.collect()
        traces = tracemalloc.take_snapshot().filter_traces([own]).traces
        return sum(trace.size for trace in traces)

    tracemalloc.start()
    try:
        yield allocated
    finally:
        tracemalloc.stop()


class LeavesMachine(RuleBasedStateMachine):
    """Whatever happens to leaves and distances, in the order there is; all looks are allowed."""

    selected = SELECTED

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ordered_leaves, "LOOKS", 1000)
        self.patch.setattr(ordered_leaves, "SELECTED", self.selected)
        self.tree = LeavesOfOwners()
        self.leaves = [Leaf(number) for number in range(2 * FEW)]
        self.clock = 100.0

    def teardown(self) -> None:
        self.patch.undo()

    numbers = st.integers(0, 2 * FEW - 1)

    @rule(chosen=st.sets(numbers))
    def add(self, chosen: set[int]) -> None:
        for number in chosen:
            self.tree.leaves.add(self.leaves[number])

    @rule(chosen=st.sets(numbers))
    def discard(self, chosen: set[int]) -> None:
        for number in chosen:
            self.tree.leaves.discard(self.leaves[number])

    @rule(number=numbers)
    def use(self, number: int) -> None:
        self.clock += 1
        self.leaves[number].last_access_time = self.clock

    @rule(distances=st.dictionaries(numbers, st.integers(0, 5).map(float)))
    def move(self, distances: dict[int, float]) -> None:
        self.tree.push(distances, self.leaves)

    @rule(by=st.sampled_from((-1.0, 1.0)))
    def move_all(self, by: float) -> None:
        moved = {leaf.id: self.tree.distances.distance(leaf.id) + by for leaf in self.leaves}
        self.tree.push(moved, self.leaves)

    @rule(number=numbers, key=numbers)
    def own(self, number: int, key: int) -> None:
        self.leaves[number].owners.add(key)
        if key % 2:  # of others it is found out
            self.tree.leaves.nearer(self.leaves[number])

    @rule(number=numbers)
    def disown(self, number: int) -> None:
        leaf = self.leaves[number]
        if leaf.owners:
            leaf.owners.discard(min(leaf.owners))
            self.tree.leaves.farther(leaf)

    @rule(count=st.integers(0, 3))
    def evict(self, count: int) -> None:
        expected = self.tree.expected()[:count]
        evicted = []
        with self.tree.leaves.in_order() as walk:
            while len(evicted) < count and (leaf := next(walk, None)) is not None:
                evicted.append(leaf.id)
                self.tree.leaves.discard(leaf)
        assert evicted == expected

    @rule()
    def in_order(self) -> None:
        assert self.tree.order() == self.tree.expected()


class FewLeavesMachine(LeavesMachine):
    selected = 3


TestLeaves = LeavesMachine.TestCase
TestLeaves.settings = settings(max_examples=25)
TestFewLeaves = FewLeavesMachine.TestCase
TestFewLeaves.settings = settings(max_examples=25)
