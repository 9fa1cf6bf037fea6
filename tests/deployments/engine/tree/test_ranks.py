"""Two tensor-parallel ranks: their copies end at different times, what they do must not differ."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest
import torch

from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.vocabulary import Tier
from tests.deployments.engine.tree.test_copies_under_way import ONE, OTHER, TWO, KeyedAgents

T = TypeVar("T")

PRIVATE = [list(range(1000 * k, 1000 * k + 16)) for k in range(1, 4)]
PROMPTS = [ONE, TWO, OTHER, *PRIVATE]


class TwoRanks:
    """The same engine twice; SGLang's collectives take the least of both, as its own do."""

    def __init__(self, device_tokens: int = 512) -> None:
        self.ranks = [KeyedAgents(device_tokens) for _ in range(2)]
        self._given: list[torch.Tensor] = [torch.empty(0)] * 2
        self._barrier = threading.Barrier(2, timeout=20)
        self._threads = ThreadPoolExecutor(2)
        for number, rank in enumerate(self.ranks):
            rank.cache._all_reduce_attn_groups = partial(self._reduce, number)

    def _reduce(self, rank: int, tensor: torch.Tensor, op: Any) -> None:
        assert op == torch.distributed.ReduceOp.MIN
        self._given[rank] = tensor.clone()
        self._barrier.wait()
        tensor.copy_(torch.minimum(*self._given))
        self._barrier.wait()

    def both(self, work: Callable[[KeyedAgents], T]) -> T:
        """Let every rank do the same, at the same time; it must come to the same."""
        one, other = self._threads.map(work, self.ranks)
        assert one == other
        return one

    def next_pass(self) -> None:
        self.both(lambda rank: rank.cache.check_hicache_events())
        self.both(lambda rank: rank.payload.settle())

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def ranks() -> Iterator[TwoRanks]:
    two = TwoRanks()
    yield two
    two.close()


def seen(rank: KeyedAgents) -> Any:
    """What decides what a rank does next."""
    cache = rank.cache
    nodes = {
        (tuple(node.key.token_ids), cache.on_device(node), cache.on_host(node), node.arrival)
        for node in cache.tree_core._node_arena.values()
        if node is not cache.tree_core.root_node
    }
    free = rank.engine.device.available_size(), rank.engine.host.available_size()
    under_way = len(cache.ongoing_load_back), len(cache.ongoing_write_through), len(cache.backups)
    return nodes, free, cache.can_load(ahead=True), under_way


def test_a_transfer_may_start_once_one_has_arrived_on_every_rank(ranks: TwoRanks) -> None:
    for key, tokens in enumerate((ONE, OTHER, PRIVATE[0])):
        ranks.both(partial(KeyedAgents.in_host, key=key, tokens=tokens))
    for key in (0, 1):
        ranks.both(partial(KeyedAgents.on_its_way, key=key))
    ranks.ranks[0].engine.controller.loads.run_one()
    ranks.next_pass()
    may_start = ranks.both(lambda rank: rank.cache.can_load(ahead=True))
    assert not may_start, "it is there on one rank only"
    assert ranks.both(lambda rank: rank.payload.prefetch(2, Tier.DEVICE)) is MoveOutcome.BUSY
    ranks.ranks[1].engine.controller.loads.run_one()
    ranks.next_pass()
    assert ranks.both(lambda rank: rank.payload.prefetch(2, Tier.DEVICE)) is MoveOutcome.STARTED


def test_a_request_finds_a_slot_on_every_rank(ranks: TwoRanks) -> None:
    for key, tokens in enumerate((ONE, *PRIVATE)):
        ranks.both(partial(KeyedAgents.in_host, key=key, tokens=tokens))
    ranks.both(lambda rank: rank.on_its_way(0))
    ranks.ranks[0].engine.controller.loads.run_one()
    waits = [ranks.both(partial(_waits_for, tokens=tokens)) for tokens in PRIVATE]
    assert waits == [1, 2, 0], "the slot of our transfer last, whether it has arrived or not"
    assert [rank.slots_under_way() for rank in ranks.ranks] == [3, 3]


def _waits_for(rank: KeyedAgents, tokens: list[int]) -> int:
    batch = rank.engine.begin(tokens)
    assert batch is not None
    return int(batch.waits_for)


def take(rank: KeyedAgents, turn: tuple[int, int, float]) -> MoveOutcome | None:
    """Take one turn: an agent asks, leaves, comes back, or is at another distance."""
    number, key, distance = turn
    if number == 0:
        rank.learn(key, PROMPTS[key], written=False)
    elif number == 1:
        return rank.payload.demote(key, Tier.HOST)
    elif number == 2:
        return rank.payload.prefetch(key, Tier.DEVICE)
    else:
        rank.payload.push((key,), (distance,))
    return None


@pytest.mark.parametrize("seed", range(6))
def test_ranks_do_the_same_whenever_their_copies_end(seed: int) -> None:
    ranks, rng = TwoRanks(device_tokens=96), random.Random(seed)
    paces = [random.Random(100 + seed), random.Random(200 + seed)]
    for _ in range(60):
        key = rng.randrange(len(PROMPTS))
        turn = rng.randrange(4), key, rng.random()
        ranks.both(partial(take, turn=turn))
        for rank, pace in zip(ranks.ranks, paces, strict=True):
            for stream in (rank.engine.controller.loads, rank.engine.controller.writes):
                for _ in range(pace.choice((0, 0, 1, 3))):
                    stream.run_one()
        ranks.next_pass()
        ranks.both(seen)
    ranks.both(lambda rank: rank.engine.arrive())
    ranks.both(lambda rank: rank.engine.check())
    ranks.close()
