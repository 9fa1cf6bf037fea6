"""SGLang's cache and tree with our rules, over pools whose copies take until they are told to end.

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

from scalesim.deployments.engine import boot

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sglang.srt.mem_cache.base_prefix_cache import (
        EvictParams,
        InsertParams,
        MatchPrefixParams,
    )
    from sglang.srt.mem_cache.cache_init_params import CacheInitParams
    from sglang.srt.mem_cache.radix_cache import RadixKey
    from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
    from sglang.srt.mem_cache.unified_cache.tree_core_registry import register_tree_core_backend

    from scalesim.deployments.engine.sglang.radix_cache import DistanceRadixCache
    from scalesim.deployments.engine.sglang.tree_core import BACKEND, DistanceTreeCore

assert boot
register_tree_core_backend(BACKEND, DistanceTreeCore)

POISON = -1
PAGE = 4


class Stream:
    """Copies in the order they were queued."""

    def __init__(self) -> None:
        self.queued: list[Event] = []

    def queue(self, copy: Callable[[], None]) -> Event:
        self.queued.append(Event(self, copy))
        return self.queued[-1]

    def run_one(self) -> None:
        if self.queued:
            event = self.queued.pop(0)
            event.copy()
            event.done = True


class Event:
    """Done once its copy has ended; `waited` once somebody blocked for it."""

    def __init__(self, stream: Stream, copy: Callable[[], None]) -> None:
        self.stream, self.copy = stream, copy
        self.done = self.waited = False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.waited = True
        while not self.done:
            self.stream.run_one()

    def elapsed_time(self, other: Event) -> float:
        return 250.0


class Pool:
    """Rows of one tier; what was freed last is handed out first."""

    def __init__(self, size: int) -> None:
        self.size, self.page_size, self.device = size, PAGE, torch.device("cpu")
        self.anchor_entry = SimpleNamespace(
            host_pool=SimpleNamespace(shared_allocation_domain=None), host_evict_fn=None
        )
        self.closed = False
        self.clear()

    def clear(self) -> None:
        self.rows = np.full(self.size, POISON, np.int64)
        self._free = list(range(self.size))

    def get_kvcache(self) -> Any:
        return SimpleNamespace(
            size=self.size - PAGE, page_size=PAGE, get_kv_size_bytes=lambda: (self.size, self.size)
        )

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

    def free_segment(self, rows: torch.Tensor, start_pos: int = 0) -> None:
        self.free(rows)

    def mamba_full_cache_donor(self) -> None:
        return None


class Counter:
    """SGLang's layer-wise events."""

    num_counters = 3

    def __init__(self) -> None:
        self.producer_index = -1
        self.events: list[Event | None] = [None] * self.num_counters

    def produce(self, event: Event) -> int:
        self.producer_index = (self.producer_index + 1) % self.num_counters
        last = self.events[self.producer_index]
        assert last is None or last.done, "an event is used again before it is done"
        self.events[self.producer_index] = event
        return self.producer_index


class Controller:
    """HiCache's, with one stream a direction."""

    write_policy = "write_through"
    enable_storage = False
    pp_prefetch_command_group = None

    def __init__(self, device: Pool, host: Pool) -> None:
        self.device, self.mem_pool_host = device, host
        self.load_queue: list[tuple] = []
        self.write_queue: list[tuple] = []
        self.ack_load_queue: list[Any] = []
        self.ack_write_queue: list[Any] = []
        self.loads, self.writes = Stream(), Stream()
        self.layer_done_counter = Counter()

    def _ack(self, event: Event, queue: list[tuple]) -> Any:
        tokens = sum(len(rows) for rows, _, _ in queue)
        return SimpleNamespace(
            start_event=event,
            finish_event=event,
            node_ids=[node for _, _, node in queue],
            num_bytes=2 * tokens,
            num_tokens_by_pool={},
            timing_enabled=True,
        )

    def write(self, rows: torch.Tensor, node_id: int = -1, **more: Any) -> torch.Tensor | None:
        target = self.mem_pool_host.alloc(len(rows))
        if target is not None:
            self.write_queue.append((rows, target, node_id))
        return target

    def start_writing(self) -> None:
        if self.write_queue:
            event = self.writes.queue(_copies(self.write_queue, self.device, self.mem_pool_host))
            self.ack_write_queue.append(self._ack(event, self.write_queue))
            self.write_queue = []

    def load(
        self, host_indices: torch.Tensor, node_id: int = -1, **more: Any
    ) -> torch.Tensor | None:
        target = self.device.alloc(len(host_indices))
        if target is not None:
            self.load_queue.append((host_indices, target, node_id))
        return target

    def start_loading(self) -> int:
        if not self.load_queue:
            return -1
        event = self.loads.queue(_copies(self.load_queue, self.mem_pool_host, self.device))
        self.ack_load_queue.append(self._ack(event, self.load_queue))
        self.load_queue = []
        return self.layer_done_counter.produce(event)

    def reset(self) -> None:
        for queue in (self.load_queue, self.write_queue, self.ack_load_queue, self.ack_write_queue):
            queue.clear()


def _copies(moves: Sequence[tuple], source: Pool, target: Pool) -> Callable[[], None]:
    def copy() -> None:
        for taken, given, _ in moves:
            target.rows[given.numpy()] = source.rows[taken.numpy()]

    return copy


class Engine:
    """The cache, used as the scheduler uses it."""

    def __init__(self, device_tokens: int, host_tokens: int) -> None:
        self.device, self.host = Pool(device_tokens), Pool(host_tokens)
        params = CacheInitParams(
            disable=False,
            req_to_token_pool=SimpleNamespace(),
            token_to_kv_pool_allocator=self.device,
            page_size=PAGE,
        )
        params.tree_components = (ComponentType.FULL,)
        cache = DistanceRadixCache(params)
        cache.every_pass = lambda: None  # type: ignore[method-assign]
        self.controller = Controller(self.device, self.host)
        cache.cache_controller, cache.host_pool_group = self.controller, self.host
        cache.components[ComponentType.FULL]._full_kv_pool_host = self.host
        cache.tree_core.set_hicache_enabled()
        cache.write_through_threshold, cache.is_write_back = 1, False
        cache.metrics_collector, cache.load_back_threshold = None, 1
        self.cache = cache

    def match(self, tokens: Sequence[int]) -> Any:
        return self.cache.match_prefix(MatchPrefixParams(_key(tokens)))

    def compute(self, tokens: Sequence[int]) -> bool:
        """What a request does that finishes in one pass; what it read is checked."""
        batch = self.begin(tokens)
        if batch is None:
            return False
        self.finish(batch)
        return True

    def begin(self, tokens: Sequence[int]) -> Batch | None:
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
            cache.unlock(lock)
            return None
        return Batch(list(tokens[:whole]), lock, prefix, own, cache.ready_to_load_host_cache())

    def finish(self, batch: Batch) -> None:
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

    def run(self, batch: Batch) -> None:
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


class Batch(SimpleNamespace):
    """One request's: its tokens, lock, rows it reads and computes, slot it waits for."""

    def __init__(self, tokens: Any, lock: Any, prefix: Any, own: Any, waits_for: int) -> None:
        super().__init__(tokens=tokens, lock=lock, prefix=prefix, own=own, waits_for=waits_for)


def _key(tokens: Sequence[int]) -> Any:
    return RadixKey(array("q", tokens), None)
