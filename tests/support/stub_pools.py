"""SGLang's cache and tree with our rules, over pools whose copies take until they are ended.

Rows hold the token they stand for. A copy to the device leaves poison in its rows until it ends,
and reads its source only then: whoever reads too early or frees too early is found by content.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks.engine import pools

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sglang.srt.mem_cache.base_prefix_cache import (
        EvictParams,
        InsertParams,
        MatchPrefixParams,
    )
    from sglang.srt.mem_cache.radix_cache import RadixKey
    from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
    from sglang.srt.mem_cache.unified_cache.unified_tree_core import UnifiedTreeCore

POISON = -1
PAGE = 4


class CopyStream:
    """Copies in the order they were queued."""

    def __init__(self) -> None:
        self.queued: list[CopyEvent] = []

    def queue(self, copy: Callable[[], None]) -> CopyEvent:
        self.queued.append(CopyEvent(self, copy))
        return self.queued[-1]

    def run_one(self) -> None:
        if self.queued:
            event = self.queued.pop(0)
            event.copy()
            event.done = True


class CopyEvent:
    """Done once its copy has ended; `waited` once somebody blocked for it."""

    def __init__(self, stream: CopyStream, copy: Callable[[], None]) -> None:
        self.stream, self.copy = stream, copy
        self.done = self.waited = False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.waited = True
        while not self.done:
            self.stream.run_one()

    def elapsed_time(self, other: CopyEvent) -> float:
        return 250.0


class PoisonedPool(pools.Pool):
    """Rows of one tier; what was freed last is handed out first."""

    def __init__(self, size: int) -> None:
        self.closed = False
        super().__init__(size, PAGE)

    def clear(self) -> None:
        self.rows = np.full(self.size, POISON, np.int64)
        self._free = list(range(self.size))

    def available_size(self) -> int:
        return len(self._free)

    def alloc(self, tokens: int) -> torch.Tensor | None:
        if self.closed or tokens > len(self._free):
            return None
        taken = [self._free.pop() for _ in range(tokens)]
        self.rows[taken] = POISON
        return torch.tensor(taken, dtype=torch.int64)

    def free(self, rows: torch.Tensor, pool: Any = None) -> None:
        assert not set(rows.tolist()) & set(self._free), "freed twice"
        self._free.extend(rows.tolist())


class OwnedEventSlots(pools.EventSlots):
    """They know who has them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[CopyEvent | None] = [None] * self.num_counters

    def produce(self, event: CopyEvent) -> int:
        slot = super().produce(event)
        last = self.events[slot]
        assert last is None or last.done, "an event is used again before it is done"
        self.events[slot] = event
        return slot


class StreamedCacheController(pools.StubCacheController):
    """HiCache's, with one stream a direction."""

    layer_done_counter: OwnedEventSlots

    def __init__(self, device: PoisonedPool, host: PoisonedPool) -> None:
        self.loads, self.writes = CopyStream(), CopyStream()
        super().__init__(device, host, self._begin, OwnedEventSlots(), timed=True)

    def _begin(
        self, moved: list[pools.RowsMoved], source: PoisonedPool, target: PoisonedPool
    ) -> CopyEvent:
        def copy() -> None:
            for each in moved:
                target.rows[each.given.numpy()] = source.rows[each.taken.numpy()]

        return (self.loads if target is self.device else self.writes).queue(copy)


class CacheEngine:
    """The cache, used as the scheduler uses it."""

    def __init__(self, device_tokens: int, host_tokens: int) -> None:
        self.device, self.host = PoisonedPool(device_tokens), PoisonedPool(host_tokens)
        self.controller = StreamedCacheController(self.device, self.host)
        self.cache = pools.assembled(pools.BACKEND, self.controller, load_from=1)

    def match(self, tokens: Sequence[int]) -> Any:
        return self.cache.match_prefix(MatchPrefixParams(_key(tokens)))

    def compute(self, tokens: Sequence[int]) -> bool:
        """What a request does that finishes in one pass; what it read is checked."""
        batch = self.begin(tokens)
        if batch is None:
            return False
        self.finish(batch)
        return True

    def begin(self, tokens: Sequence[int]) -> CacheBatch | None:
        """Build a batch of one request: bring what is in host memory, lock, make room, wait."""
        whole = len(tokens) // PAGE * PAGE
        cache, match = self.cache, self.match(tokens[:whole])
        last = match.last_device_node
        if match.host_hit_length and cache.load_back(match.best_match_node):
            last = match.best_match_node
        lock = cache.lock(last)
        prefix = cache.path_device_indices(last)
        missing = whole - len(prefix)
        if (lacking := missing - self.device.available_size()) > 0:
            cache.evict_for_alloc(EvictParams(num_tokens=lacking))
        own = self.device.alloc(missing)
        if own is None:
            assert self.idle_tokens() < missing, "a request found no room where there was enough"
            cache.unlock(lock)
            return None
        return CacheBatch(list(tokens[:whole]), lock, prefix, own, cache.ready_to_load_host_cache())

    def idle_tokens(self) -> int:
        """Return the device's tokens that no request needs, once every copy has ended."""
        assert not self.cache.ongoing_load_back, "a copy was not waited for"
        assert not self.cache.ongoing_write_through, "a copy was not waited for"
        nodes = self.cache.tree_core._node_arena.values()
        held = [node.component_data[ComponentType.FULL] for node in nodes]
        idle = [data.value for data in held if data.value is not None and not data.lock_ref]
        return self.device.available_size() + sum(map(len, idle))

    def finish(self, batch: CacheBatch) -> None:
        """Run a batch, give the tree what it computed."""
        self.run(batch)
        self.cache.insert(
            InsertParams(
                key=_key(batch.tokens),
                value=torch.cat([batch.prefix, batch.own]),
                prev_prefix_len=len(batch.prefix),
            )
        )
        self.cache.unlock(batch.lock)
        self.cache.flush_pending_backups()

    def run(self, batch: CacheBatch) -> None:
        """Read what a batch reads, once what it waits for is there, and compute the rest."""
        if batch.waits_for >= 0:
            event = self.controller.layer_done_counter.events[batch.waits_for]
            assert event is not None
            event.synchronize()
        read = self.device.rows[batch.prefix.numpy()].tolist()
        assert read == batch.tokens[: len(read)], "a batch read what was not there"
        self.device.rows[batch.own.numpy()] = batch.tokens[len(read) :]

    def arrive(self) -> None:
        """All copies end and the next pass sees it."""
        self.cache.flush_pending_backups()
        for stream in (self.controller.loads, self.controller.writes):
            while stream.queued:
                stream.run_one()
        self.cache.check_hicache_events()

    def check(self, busy: int = 0) -> None:
        """Every node holds its tokens in each tier it has arrived in; no row is lost.

        Args:
            busy: Device rows of batches that are not in the tree yet.
        """
        cache = self.cache
        held = {"device": 0, "host": 0}
        pending = {node for each in cache.ongoing_write_through.values() for node in each[2]}
        for node in cache.tree_core._node_arena.values():
            if node is cache.tree_core.root_node:
                continue
            data, tokens = node.component_data[ComponentType.FULL], list(node.key.token_ids)
            if data.value is not None:
                held["device"] += len(data.value)
                if not node.arrival:
                    assert self.device.rows[data.value.numpy()].tolist() == tokens
            if data.host_value is not None:
                held["host"] += len(data.host_value)
                if node.id not in pending:
                    assert self.host.rows[data.host_value.numpy()].tolist() == tokens
        assert held["device"] + busy + self.device.available_size() == self.device.size
        assert held["host"] + self.host.available_size() == self.host.size
        core = cache.tree_core
        living = set(core._node_arena.values())
        for node in living:
            assert node.device_children.keys() <= living
            assert core._is_device_leaf(node) == UnifiedTreeCore._is_device_leaf(core, node)
        # SGLang tracks what a load brings at the load's end; its check wants that at once.
        coming = {
            node.id: node
            for node in core._node_arena.values()
            if node.arrival and core._is_settled_full_host_duplicate(node)
        }
        tracked = core.full_host_duplicates
        core.full_host_duplicates = {**tracked, **coming}
        try:
            cache.sanity_check()
        finally:
            core.full_host_duplicates = tracked


class CacheBatch(SimpleNamespace):
    """One request's: its tokens, lock, rows it reads and computes, slot it waits for."""

    def __init__(self, tokens: Any, lock: Any, prefix: Any, own: Any, waits_for: int) -> None:
        super().__init__(tokens=tokens, lock=lock, prefix=prefix, own=own, waits_for=waits_for)


def _key(tokens: Sequence[int]) -> Any:
    return RadixKey(array("q", tokens), None)
