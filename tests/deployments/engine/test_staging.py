"""The prefix payload over three tiers."""

from __future__ import annotations

import numpy as np

from scalesim.deployments.engine.directive_executor import DirectiveExecutor
from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.messages import encode
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.payloads.staging import READS
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.vocabulary import PREFIX, Directives, Moves, Tier, Verb
from tests.support.fake_storage import FakeStorage
from tests.support.fake_tree import FakeTree

SPACE = (None, "salt")
LENGTH = 6
SIZE = LENGTH * FakeTree.bytes_per_token


class Tiers:
    """Agents that are all in storage, and nowhere else."""

    def __init__(self, agents: int, on_device: int = 2) -> None:
        self.tree = FakeTree(DistanceOrder(), device_tokens=on_device * LENGTH)
        self.storage = self.tree.storage = FakeStorage(self.tree)
        self.payload = PrefixPayload(self.tree)
        for key in range(agents):
            self.ask(key)
            self.storage.write(key)
            assert self.payload.demote(key, Tier.STORAGE) is MoveOutcome.DONE

    def ask(self, key: int) -> None:
        tokens = np.arange(key * 100, key * 100 + LENGTH)
        assert self.tree.request(tokens, SPACE)
        self.payload.used(key, 0)
        self.payload.learn(key, Prefix(tokens, LENGTH, SPACE, LENGTH), None)

    def settle(self) -> bool:
        busy = self.payload.settle()
        self.tree.arrive()
        return busy

    def sizes(self, key: int) -> tuple[int, int, int, int]:
        self.payload.touch_all()
        rows = self.payload.changed()
        assert rows is not None
        at = rows.keys.tolist().index(key)
        return tuple(int(column[at]) for column in rows[2:6])


def test_what_is_only_in_storage_says_so() -> None:
    assert Tiers(1).sizes(0) == (0, 0, SIZE, SIZE)


def test_nothing_leaves_host_memory_without_a_copy() -> None:
    tiers = Tiers(0)
    tiers.ask(0)
    assert tiers.payload.demote(0, Tier.STORAGE) is MoveOutcome.REFUSED
    assert tiers.sizes(0) == (SIZE, SIZE, 0, SIZE)


def test_without_the_tier_nothing_is_sent_there() -> None:
    tree = FakeTree(DistanceOrder(), device_tokens=LENGTH)
    payload = PrefixPayload(tree)
    tokens = np.arange(LENGTH)
    tree.request(tokens, SPACE)
    payload.learn(0, Prefix(tokens, LENGTH, SPACE, LENGTH), None)
    assert payload.demote(0, Tier.STORAGE) is MoveOutcome.REFUSED


def test_a_read_on_its_way_to_the_device_stops_in_host_memory_once_called_back() -> None:
    tiers = Tiers(1)
    assert tiers.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    assert tiers.payload.demote(0, Tier.STORAGE) is MoveOutcome.REFUSED, "what moves arrives"
    tiers.settle()
    tiers.storage.arrive()
    tiers.settle()
    assert tiers.settle() is False
    assert tiers.sizes(0) == (0, SIZE, SIZE, SIZE)


def test_reads_are_measured() -> None:
    tiers = Tiers(1)
    tiers.payload.prefetch(0, Tier.DEVICE)
    tiers.settle()
    assert tiers.payload.transfer().staged_bytes == 0
    tiers.storage.arrive()
    tiers.settle(), tiers.settle(), tiers.settle()
    transfer = tiers.payload.transfer()
    assert transfer.staged_bytes == SIZE
    assert transfer.staged_s > 0


def test_a_prefetch_to_host_memory_stops_there() -> None:
    tiers = Tiers(1)
    assert tiers.payload.prefetch(0, Tier.HOST) is MoveOutcome.STARTED
    assert tiers.settle() is True
    tiers.storage.arrive()
    assert tiers.settle() is False
    assert tiers.sizes(0) == (0, SIZE, SIZE, SIZE)
    assert tiers.payload.prefetch(0, Tier.HOST) is MoveOutcome.DONE


def test_a_prefetch_to_the_device_goes_on_when_the_read_ends() -> None:
    tiers = Tiers(1)
    tiers.payload.push((0,), (1.0,))
    assert tiers.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    tiers.storage.arrive()
    tiers.settle()
    assert tiers.settle() is False
    assert tiers.sizes(0) == (SIZE, SIZE, SIZE, SIZE)
    transfer = tiers.payload.transfer()
    assert (transfer.issued, transfer.issued_bytes) == (2, 2 * SIZE)


def test_a_load_that_finds_the_links_full_goes_later() -> None:
    tiers = Tiers(1)
    tiers.payload.prefetch(0, Tier.DEVICE)
    tiers.storage.arrive()
    tiers.tree.slots = 0
    assert tiers.payload.settle() is True
    tiers.tree.slots = 3
    tiers.settle()
    tiers.settle()
    assert tiers.sizes(0)[0] == SIZE


def test_a_read_in_vain_leaves_the_request_to_recompute() -> None:
    tiers = Tiers(1)
    tiers.payload.prefetch(0, Tier.DEVICE)
    tiers.storage.lose(0)
    tiers.storage.arrive()
    tiers.settle()
    assert tiers.settle() is False
    assert tiers.sizes(0) == (0, 0, 0, SIZE)
    tiers.ask(0)
    assert tiers.sizes(0) == (SIZE, SIZE, 0, SIZE)


def test_what_is_read_is_not_in_use() -> None:
    tiers = Tiers(2)
    tiers.tree.in_use = {1}
    tiers.payload.prefetch(0, Tier.HOST)
    tiers.payload.touch_all()
    rows = tiers.payload.changed()
    assert rows is not None
    assert (rows.keys.tolist(), rows.in_use.tolist()) == ([0, 1], [False, True])
    assert tiers.payload.demote(0, Tier.STORAGE) is MoveOutcome.REFUSED, "what moves arrives"


def test_few_agents_are_read_at_a_time() -> None:
    tiers = Tiers(READS + 1)
    for key in range(READS + 1):
        assert tiers.payload.prefetch(key, Tier.HOST) is MoveOutcome.STARTED
    assert len(tiers.storage.reads) == READS
    tiers.storage.arrive()
    assert tiers.settle() is True
    assert len(tiers.storage.reads) == 1


def test_what_waits_to_be_read_holds_up_no_load() -> None:
    tiers = Tiers(READS + 20)
    tiers.ask(0)
    assert tiers.payload.demote(0, Tier.HOST) is MoveOutcome.DONE
    executor = DirectiveExecutor({PREFIX: tiers.payload})
    keys = np.array([*range(1, READS + 20), 0])
    verbs, tier = (np.full(len(keys), each, np.uint8) for each in (Verb.PREFETCH, Tier.DEVICE))
    executor.accept([encode(Directives(1, 0, moves=(Moves(PREFIX, verbs, keys, tier),)))])
    for _ in keys:
        executor.work()
        tiers.tree.arrive()
    assert tiers.sizes(0)[0] == SIZE


def test_a_read_that_waits_is_called_back() -> None:
    tiers = Tiers(READS + 2)
    for key in range(READS + 2):
        tiers.payload.prefetch(key, Tier.DEVICE)
    assert tiers.payload.demote(READS, Tier.STORAGE) is MoveOutcome.ALREADY
    assert tiers.payload.drop(READS + 1) is MoveOutcome.DONE
    tiers.storage.arrive()
    tiers.settle()
    assert not tiers.storage.reads


def test_what_is_read_for_host_memory_goes_on_once_that_is_wanted() -> None:
    tiers = Tiers(1)
    tiers.payload.push((0,), (1.0,))
    tiers.payload.prefetch(0, Tier.HOST)
    tiers.payload.prefetch(0, Tier.DEVICE)
    tiers.storage.arrive()
    tiers.settle()
    assert tiers.settle() is False
    assert tiers.sizes(0)[0] == SIZE


def test_what_cannot_be_read_now_is_refused() -> None:
    tiers = Tiers(1)
    tiers.storage.readable = False
    assert tiers.payload.prefetch(0, Tier.HOST) is MoveOutcome.REFUSED
    assert tiers.payload.transfer().refused == 1


def test_what_was_read_and_left_again_unused_was_wasted() -> None:
    tiers = Tiers(1)
    tiers.payload.prefetch(0, Tier.HOST)
    tiers.storage.arrive()
    tiers.settle()
    assert tiers.payload.demote(0, Tier.STORAGE) is MoveOutcome.DONE
    transfer = tiers.payload.transfer()
    assert (transfer.wasted, transfer.wasted_bytes) == (1, SIZE)


def test_an_agent_dropped_while_it_is_read_stays_gone() -> None:
    tiers = Tiers(1)
    tiers.payload.prefetch(0, Tier.DEVICE)
    tiers.storage.arrive()
    tiers.payload.settle()
    tiers.tree.arrive()
    tiers.payload.settle()
    assert tiers.payload.drop(0) is MoveOutcome.DONE
    assert tiers.payload.settle() is False
    rows = tiers.payload.changed()
    assert rows is not None
    assert [int(column.sum()) for column in rows[2:6]] == [0, 0, 0, 0]


def test_after_a_flush_storage_still_serves() -> None:
    tiers = Tiers(1)
    tiers.payload.forget()
    assert tiers.payload.prefetch(0, Tier.HOST) is MoveOutcome.STARTED
    tiers.storage.arrive()
    tiers.settle()
    assert tiers.sizes(0) == (0, SIZE, SIZE, SIZE)
