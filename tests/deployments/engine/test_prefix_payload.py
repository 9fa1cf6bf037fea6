from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.vocabulary import Tier
from tests.support.fake_tree import FakeTree

SPACE = (None, "salt")
LENGTH = 6


class PayloadOverTree:
    """The payload over the fake tree, used as the scheduler would."""

    def __init__(self, agents_on_device: int) -> None:
        self.tree = FakeTree(DistanceOrder(), device_tokens=agents_on_device * LENGTH)
        self.payload = PrefixPayload(self.tree)
        self.reported: dict[int, tuple[int, int, int, bool]] = {}

    def ask(self, key: int, shared: int = 0, host_tokens: int = 0) -> bool:
        own = [key * 100 + i for i in range(LENGTH - shared)]
        tokens = np.array([*range(shared), *own], np.int64)
        if not self.tree.request(tokens, SPACE):
            return False
        self.payload.used(key, host_tokens)
        self.payload.learn(key, Prefix(tokens, LENGTH, SPACE, LENGTH), None)
        return True

    def read(self) -> dict[int, tuple[int, int, int, bool]]:
        rows = self.payload.changed()
        if rows is not None:
            columns = zip(*(column.tolist() for column in rows[1:]), strict=True)
            for key, device, host, _, total, in_use in columns:
                self.reported[key] = (device, host, total, in_use)
        return self.reported


def test_the_end_of_an_agent_s_last_request_is_reported() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1)
    engine.tree.in_use = {1}
    engine.payload.touch_all()
    assert engine.read()[1][3] is True
    engine.tree.in_use = set()
    engine.payload.idle(1)  # it was aborted: nothing else is heard of it
    engine.payload.idle(2)
    assert {key: row[3] for key, row in engine.read().items()} == {1: False}


def test_pressure_takes_the_farthest_agent() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1), engine.ask(2)
    engine.payload.push((1, 2), (9.0, 1.0))
    engine.ask(3)
    assert {key: row[0] for key, row in engine.read().items()} == {1: 0, 2: 60, 3: 60}


def test_prefetch_brings_back_what_is_nearer_and_only_that() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1), engine.ask(2), engine.payload.push((1, 2, 3), (9.0, 5.0, 1.0)), engine.ask(3)
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.REFUSED
    engine.payload.push((1,), (0.0,))
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED
    assert engine.payload.settle() is True
    engine.tree.arrive()
    assert engine.payload.settle() is False
    assert {key: row[0] for key, row in engine.read().items()} == {1: 60, 2: 0, 3: 60}
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.DONE


def test_prefetch_waits_for_a_slot() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1)
    engine.payload.demote(1, Tier.HOST)
    engine.tree.slots = 0
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.BUSY


def test_what_is_in_use_stays() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1)
    engine.tree.in_use = {1}
    assert engine.payload.demote(1, Tier.HOST) is MoveOutcome.REFUSED
    assert engine.payload.drop(1) is MoveOutcome.REFUSED
    assert engine.read()[1] == (60, 60, 60, True)


def test_nodes_an_agent_no_longer_expects_lose_their_owner() -> None:
    engine = PayloadOverTree(4)
    engine.ask(1)
    old = [node for node in engine.tree.nodes() if node.owners == {1}]
    other = Prefix(np.array([7, 7, 7, 7], np.int64), 4, ("adapter", "salt"), 4)
    for _ in range(5):
        other = Prefix(other.tokens + 1, 4, other.space, 4)
        engine.payload.learn(1, other, None)
    assert [node.owners for node in old] == [set()] * 3


def test_a_lost_host_copy_is_reported() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1)
    engine.payload.demote(1, Tier.HOST)
    engine.read()
    deepest = next(node for node in engine.tree.nodes() if not node.children)
    engine.tree.leave_host(deepest)
    assert engine.read()[1][:3] == (0, 40, 60)


def test_a_shared_beginning_stays_for_its_other_owner() -> None:
    engine = PayloadOverTree(4)
    engine.ask(1, shared=2), engine.ask(2, shared=2)
    assert engine.payload.demote(1, Tier.HOST) is MoveOutcome.DONE
    assert engine.read()[1][:3] == (10, 50, 50)
    assert engine.read()[2][:3] == (50, 50, 50)


def test_drop_forgets_and_frees_every_tier() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1)
    assert engine.payload.drop(1) is MoveOutcome.DONE
    assert engine.read()[1] == (0, 0, 0, False)
    assert list(engine.tree.nodes()) == []
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.REFUSED


def test_a_flush_makes_everything_absent_and_loses_no_agent() -> None:
    engine = PayloadOverTree(2)
    engine.ask(1)
    engine.tree.roots.clear()
    engine.payload.forget()
    assert engine.read()[1] == (0, 0, 60, False)
    assert engine.ask(1)
    assert engine.read()[1][0] == 60


def test_prefetches_are_counted_by_their_fate() -> None:
    engine = PayloadOverTree(2)
    for key in (1, 2):
        engine.ask(key)
        engine.payload.demote(key, Tier.HOST)
        engine.payload.push((key,), (1.0,))
    for key in (1, 2):
        engine.payload.prefetch(key, Tier.DEVICE)
    engine.payload.settle(), engine.tree.arrive(), engine.payload.settle()
    engine.ask(1)
    engine.payload.demote(2, Tier.HOST)
    transfer = engine.payload.transfer()
    assert (transfer.issued, transfer.used, transfer.late, transfer.wasted) == (2, 1, 0, 1)
    assert (transfer.issued_bytes, transfer.wasted_bytes) == (120, 60)


def test_prefill_is_counted() -> None:
    engine = PayloadOverTree(2)
    engine.payload.computed(6, 0.25)
    engine.payload.computed(4, 0.25)
    transfer = engine.payload.transfer()
    assert (transfer.computed_bytes, transfer.computed_s) == (100, 0.5)


class PrefixMachine(RuleBasedStateMachine):
    """Random requests and directives: what is reported is what is, and nothing in use moves."""

    keys = st.integers(1, 5)

    @initialize(agents=st.integers(1, 4))
    def begin(self, agents: int) -> None:
        self.engine = PayloadOverTree(agents)

    @rule(key=keys, shared=st.sampled_from([0, 2]))
    def request(self, key: int, shared: int) -> None:
        self.engine.ask(key, shared)

    @rule(key=keys, distance=st.sampled_from([0.0, 1.0, 5.0, np.inf]))
    def push(self, key: int, distance: float) -> None:
        self.engine.payload.push((key,), (distance,))

    @rule(key=keys, verb=st.sampled_from(["prefetch", "demote"]))
    def move(self, key: int, verb: str) -> None:
        before = self.on_device()
        getattr(self.engine.payload, verb)(key, Tier.DEVICE if verb == "prefetch" else Tier.HOST)
        assert self.in_use_nodes() & before <= self.on_device()

    @rule(waiting=st.lists(keys, unique=True), hidden=st.sampled_from([0, LENGTH]))
    def bring(self, waiting: list[int], hidden: int) -> None:
        found = self.engine.payload.bring(waiting, hidden)
        assert not found.coming & found.waiting
        assert found.coming | found.waiting <= set(waiting)
        assert 0 <= found.tokens <= len(waiting) * LENGTH

    @rule(key=keys)
    def drop(self, key: int) -> None:
        self.engine.payload.drop(key)

    @rule(key=keys, verb=st.sampled_from(["pin", "unpin"]))
    def pin(self, key: int, verb: str) -> None:
        getattr(self.engine.payload, verb)(key)

    @rule(queued=st.sets(keys, max_size=2), running=st.sets(keys, max_size=2))
    def run(self, queued: set[int], running: set[int]) -> None:
        self.engine.tree.in_use, self.engine.tree.locked = queued, running
        self.engine.payload.touch_all()

    @rule()
    def settle(self) -> None:
        self.engine.payload.settle()

    @rule()
    def arrive(self) -> None:
        self.engine.payload.settle()
        self.engine.tree.arrive()
        assert self.engine.payload.settle() is False

    @rule()
    def flush(self) -> None:
        self.engine.tree.roots.clear()
        self.engine.tree.slots = 3
        self.engine.payload.forget()

    def on_device(self) -> set:
        return {node for node in self.engine.tree.nodes() if node.device}

    def in_use_nodes(self) -> set:
        tree = self.engine.tree
        return {node for node in tree.nodes() if node.owners & tree.locked}

    @invariant()
    def check_integrity(self) -> None:
        if not hasattr(self, "engine"):
            return
        tree, reported = self.engine.tree, self.engine.read()
        assert tree.free_tokens() >= 0
        for node in tree.nodes():
            assert not node.device or node.parent.parent is None or node.parent.device
        owned = sum(len(node.tokens) * 10 for node in tree.nodes() if node.device and node.owners)
        counted = sum(row[0] for row in reported.values())
        assert abs(owned - counted) <= 10 * len(reported)  # shares of shared nodes are rounded
        for device, host, total, _ in reported.values():
            assert 0 <= max(device, host) <= total


TestMachine = PrefixMachine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
