from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.vocabulary import Tier
from tests.support.stub_pools import CacheEngine, EvictParams

SPACE = (None, None)
HEAD = list(range(100, 132))
ONE = [*HEAD, *range(200, 216)]
TWO = [*HEAD, *range(300, 316)]
MIDDLE = [*HEAD, *range(200, 208), *range(400, 408)]
OTHER = list(range(500, 532))


class KeyedAgents:
    """The payload over the stub pools."""

    def __init__(self, device_tokens: int = 512, host_tokens: int = 1024) -> None:
        self.engine = CacheEngine(device_tokens, host_tokens)
        self.cache = self.engine.cache
        self.payload = PrefixPayload(self.cache)

    def learn(
        self, key: int, tokens: list[int], *, written: bool = True, backed: bool = True
    ) -> None:
        self.engine.host.closed = not backed
        assert self.engine.compute(tokens)
        self.engine.host.closed = False
        if written:
            self.engine.arrive()
        known = Prefix(np.array(tokens, np.int64), len(tokens), SPACE, len(tokens))
        self.payload.learn(key, known, None)

    def in_host(self, key: int, tokens: list[int]) -> None:
        self.learn(key, tokens)
        assert self.payload.demote(key, Tier.HOST) is MoveOutcome.DONE
        self.payload.push((key,), (0.0,))

    def on_its_way(self, key: int) -> None:
        assert self.payload.prefetch(key, Tier.DEVICE) is MoveOutcome.STARTED
        self.payload.settle()

    def with_host_copy(self, tokens: list[int]) -> list[bool]:
        """Which nodes of a prompt have one, from the root."""
        last = self.cache.locate(np.array(tokens, np.int64), SPACE)
        return [self.cache.on_host(node) for node in self.cache.path(last)]

    def slots_under_way(self) -> int:
        return len(self.engine.controller.loads.queued)

    def waits_for(self, tokens: list[int]) -> int:
        """Run a request; what it read too early is found."""
        batch = self.engine.begin(tokens)
        assert batch is not None
        self.engine.finish(batch)
        return batch.waits_for


def test_whoever_shares_any_part_of_what_is_on_its_way_waits_for_it() -> None:
    for tokens in (ONE, TWO, MIDDLE, HEAD[:8], [*ONE, *range(600, 608)]):
        agents = KeyedAgents()
        agents.in_host(1, ONE)
        agents.on_its_way(1)
        assert agents.waits_for(tokens) == 0, tokens
        agents.engine.check()


def test_others_wait_for_nothing() -> None:
    agents = KeyedAgents()
    agents.in_host(1, ONE)
    agents.on_its_way(1)
    assert agents.waits_for(OTHER) == -1
    assert agents.slots_under_way() == 1
    agents.engine.arrive()
    assert agents.waits_for(ONE) == -1, "it is there"


def test_a_batch_waits_for_the_transfer_it_reads_not_for_a_later_one() -> None:
    agents = KeyedAgents()
    agents.in_host(1, ONE)
    agents.in_host(2, OTHER)
    agents.on_its_way(1)
    request = agents.engine.begin(OTHER)
    assert request is not None
    assert request.waits_for == 1, "its own load"
    assert agents.waits_for(ONE) == 0
    assert agents.slots_under_way() == 1
    agents.engine.finish(request)


def test_a_request_that_is_not_admitted_makes_no_batch_wait() -> None:
    agents = KeyedAgents()
    agents.in_host(1, ONE)
    agents.on_its_way(1)
    match = agents.engine.match(ONE)
    agents.cache.unlock(agents.cache.lock(match.last_device_node))
    assert agents.waits_for(OTHER) == -1


def test_a_request_is_moved_only_to_pages_that_have_arrived() -> None:
    agents = KeyedAgents()
    slow = agents.engine.begin(HEAD)
    assert slow is not None
    agents.in_host(1, HEAD)
    agents.on_its_way(1)
    agents.engine.finish(slow)  # the tree has another copy of what it computed
    assert agents.slots_under_way() == 0
    agents.engine.check()


def test_a_flush_waits_for_copies_in_both_directions() -> None:
    agents = KeyedAgents()
    agents.in_host(1, ONE)
    agents.learn(2, OTHER, written=False)
    agents.on_its_way(1)
    controller = agents.engine.controller
    acks = (*controller.ack_load_queue, *controller.ack_write_queue)
    assert len(acks) == 2
    agents.cache.reset()
    assert all(ack.finish_event.done for ack in acks)
    agents.engine.device.clear()
    agents.learn(1, ONE)
    agents.engine.check()


def test_two_transfers_ahead_of_requests_at_a_time() -> None:
    agents = KeyedAgents()
    for key, tokens in enumerate((ONE, TWO, OTHER)):
        agents.in_host(key, tokens)
    agents.on_its_way(0)
    agents.on_its_way(2)
    assert agents.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.BUSY
    agents.engine.arrive()
    agents.payload.settle()
    agents.on_its_way(1)


def test_a_request_finds_a_slot_whatever_is_under_way() -> None:
    agents = KeyedAgents(device_tokens=1024)
    private = [list(range(1000 * k, 1000 * k + 16)) for k in range(1, 7)]
    for key, tokens in enumerate(private):
        agents.in_host(key, tokens)
    agents.on_its_way(0)
    batches = [agents.engine.begin(tokens) for tokens in private[1:]]
    assert [batch.waits_for for batch in batches if batch is not None] == [1, 2, 0, 1, 2]
    assert agents.slots_under_way() == 3, "the oldest of three was waited for"
    for batch in batches:
        assert batch is not None
        agents.engine.finish(batch)


def test_a_transfer_leaves_requests_their_slot() -> None:
    agents = KeyedAgents()
    private = [list(range(1000 * k, 1000 * k + 16)) for k in range(1, 3)]
    for key, tokens in enumerate((ONE, *private)):
        agents.in_host(key, tokens)
    for tokens in private:
        assert agents.engine.begin(tokens) is not None
    assert agents.slots_under_way() == 2
    assert agents.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.BUSY


def test_a_node_leaves_the_device_once_its_host_copy_is_written() -> None:
    agents = KeyedAgents()
    agents.learn(1, ONE, written=False)
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.BUSY
    agents.engine.arrive()
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.DONE
    agents.engine.check()


def test_a_prefix_leaves_once_the_rest_of_its_request_is_written() -> None:
    agents = KeyedAgents()
    agents.learn(1, ONE)
    agents.learn(2, [*ONE, *range(600, 608)], written=False)
    agents.payload.drop(2)  # what is below the prefix has no owner, and on its way to host memory
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.BUSY
    agents.engine.arrive()
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.DONE
    agents.engine.check()


def sharing(host_tokens: int) -> KeyedAgents:
    """Agents 1 and 2 share a head; there was no room for host copies."""
    agents = KeyedAgents(host_tokens=host_tokens)
    agents.learn(1, ONE, backed=False)
    agents.learn(2, TWO, backed=False)
    assert agents.with_host_copy(ONE) == [False, False]
    return agents


def test_host_copies_are_written_with_those_above_them() -> None:
    agents = sharing(host_tokens=64)
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.BUSY
    agents.engine.check()
    agents.engine.arrive()
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.DONE
    assert agents.with_host_copy(ONE) == [True, True]
    agents.engine.check()
    assert agents.engine.compute(list(range(2000, 2480))), "pressure takes the head too"
    agents.engine.check()


def test_a_copy_that_finds_no_room_leaves_none_behind() -> None:
    agents = sharing(host_tokens=32)
    assert agents.payload.demote(1, Tier.HOST) is MoveOutcome.REFUSED, "32 of 48 tokens fit"
    assert agents.with_host_copy(ONE) == [False, False]
    agents.engine.check()


def test_a_copy_takes_the_place_of_farther_ones_only() -> None:
    for distance, outcome in ((9.0, MoveOutcome.BUSY), (1.0, MoveOutcome.REFUSED)):
        agents = KeyedAgents(host_tokens=32)
        agents.learn(2, list(range(800, 832)), backed=False)
        agents.in_host(1, OTHER)
        agents.payload.push((1, 2), (distance, 5.0))
        assert agents.payload.demote(2, Tier.HOST) is outcome
        agents.engine.check()


def test_room_is_made_once_copies_are_written() -> None:
    agents = KeyedAgents(device_tokens=96)
    agents.in_host(3, OTHER)
    agents.learn(1, ONE, backed=False)
    agents.learn(2, list(range(2000, 2048)), backed=False)
    agents.payload.push((1, 2, 3), (5.0, 4.0, 0.0))
    for _ in range(2):  # and starts no more of them
        assert agents.payload.prefetch(3, Tier.DEVICE) is MoveOutcome.BUSY
    assert len(agents.cache.ongoing_write_through) == 1
    agents.engine.arrive()
    assert agents.payload.prefetch(3, Tier.DEVICE) is MoveOutcome.STARTED
    agents.payload.settle()
    agents.engine.arrive()
    agents.engine.check()


def test_loads_are_measured_by_the_device() -> None:
    agents = KeyedAgents()
    agents.in_host(1, ONE)
    agents.on_its_way(1)
    assert agents.payload.transfer().loaded_bytes == 0
    agents.engine.arrive()
    transfer = agents.payload.transfer()
    assert (transfer.loaded_bytes, transfer.loaded_s) == (2 * len(ONE), 0.25)


def test_a_pass_costs_what_is_copied_meanwhile() -> None:
    agents = KeyedAgents()
    assert agents.cache.measured_pass_tokens() == 0
    agents.cache.prefill = SimpleNamespace(least_s=0.5, collect=lambda: None)
    assert agents.cache.measured_pass_tokens() == 0, "no link was seen yet"
    agents.in_host(1, ONE)
    agents.on_its_way(1)
    agents.engine.arrive()
    assert agents.cache.measured_pass_tokens() == 2 * len(ONE), "a copy took half as long"


def test_what_leaves_without_a_host_copy_gives_its_parent_free() -> None:
    agents = KeyedAgents()
    engine = agents.engine
    engine.host.closed = True
    for tokens in (ONE, TWO):
        assert engine.compute(tokens)
    engine.cache.evict(EvictParams(num_tokens=1_000))
    engine.check()
    assert engine.device.available_size() == engine.device.size
    assert engine.cache.evictable_size() == 0
