"""SGLang's cache over stub pools, to time or to test what the tree itself does.

Here they only count, and copies are done at once. Tests give them rows, and copies that take time.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from scalesim.deployments.engine import boot

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sglang.srt.mem_cache.base_prefix_cache import InsertParams, MatchPrefixParams
    from sglang.srt.mem_cache.cache_init_params import CacheInitParams
    from sglang.srt.mem_cache.radix_cache import RadixKey
    from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
    from sglang.srt.mem_cache.unified_cache.tree_core_registry import register_tree_core_backend
    from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache

    from scalesim.deployments.engine.sglang.radix_cache import DistanceRadixCache
    from scalesim.deployments.engine.sglang.tree_core import BACKEND as BACKEND
    from scalesim.deployments.engine.sglang.tree_core import DistanceTreeCore

assert boot
register_tree_core_backend(BACKEND, DistanceTreeCore)

PAGE = 16


class Pool:
    """Rows of one tier, as a number."""

    device = torch.device("cpu")

    def __init__(self, size: int, page_size: int = PAGE) -> None:
        self.size, self.page_size = size, page_size
        self.anchor_entry = SimpleNamespace(
            host_pool=SimpleNamespace(shared_allocation_domain=None), host_evict_fn=None
        )
        self.clear()

    def clear(self) -> None:
        """Make all rows free."""
        self.free_tokens = self.size

    def get_kvcache(self) -> Any:
        return SimpleNamespace(
            size=self.size - self.page_size,
            page_size=self.page_size,
            get_kv_size_bytes=lambda: (self.size, self.size),
        )

    def available_size(self) -> int:
        return self.free_tokens

    def alloc(self, tokens: int) -> torch.Tensor | None:
        if tokens > self.free_tokens:
            return None
        self.free_tokens -= tokens
        return torch.arange(tokens)

    def free(self, rows: torch.Tensor, pool: Any = None) -> None:
        self.free_tokens += len(rows)

    def free_segment(self, rows: torch.Tensor, start_pos: int = 0) -> None:
        self.free(rows)

    def mamba_full_cache_donor(self) -> None:
        return None


class DoneCopy:
    """An event of a copy that took no time."""

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        """Return at once."""


class RowsMoved(NamedTuple):
    """Rows that one node's copy reads and writes."""

    taken: torch.Tensor
    given: torch.Tensor
    node_id: int


class EventSlots:
    """SGLang's layer-wise events."""

    num_counters = 3

    def __init__(self) -> None:
        self.producer_index = -1

    def produce(self, event: Any) -> int:
        """Give the next slot to an event; return its number."""
        self.producer_index = (self.producer_index + 1) % self.num_counters
        return self.producer_index


class StubCacheController:
    """HiCache's: what is queued becomes one copy.

    Args:
        device: Pool.
        host: Pool.
        copy: Begins a copy of moved rows from a pool to another; returns its event.
        slots: Of the events of loads.
        timed: Whether events know how long their copy took.
    """

    write_policy = "write_through"
    enable_storage = False
    pp_prefetch_command_group = None

    def __init__(
        self,
        device: Pool,
        host: Pool,
        copy: Callable[[list[RowsMoved], Any, Any], Any] = lambda *_: DoneCopy(),
        slots: EventSlots | None = None,
        timed: bool = False,
    ) -> None:
        self.device, self.mem_pool_host = device, host
        self.load_queue: list[RowsMoved] = []
        self.write_queue: list[RowsMoved] = []
        self.ack_load_queue: list[Any] = []
        self.ack_write_queue: list[Any] = []
        self.layer_done_counter = slots or EventSlots()
        self._copy, self._timed = copy, timed

    def write(self, rows: torch.Tensor, node_id: int = -1, **more: Any) -> torch.Tensor | None:
        return _queue(self.write_queue, rows, self.mem_pool_host.alloc(len(rows)), node_id)

    def load(
        self, host_indices: torch.Tensor, node_id: int = -1, **more: Any
    ) -> torch.Tensor | None:
        return _queue(self.load_queue, host_indices, self.device.alloc(len(host_indices)), node_id)

    def start_writing(self) -> None:
        if self.write_queue:
            event = self._copy(self.write_queue, self.device, self.mem_pool_host)
            self.ack_write_queue.append(self._ack(event, self.write_queue))
            self.write_queue = []

    def start_loading(self) -> int:
        if not self.load_queue:
            return -1
        event = self._copy(self.load_queue, self.mem_pool_host, self.device)
        self.ack_load_queue.append(self._ack(event, self.load_queue))
        self.load_queue = []
        return self.layer_done_counter.produce(event)

    def reset(self) -> None:
        for queue in (self.load_queue, self.write_queue, self.ack_load_queue, self.ack_write_queue):
            queue.clear()

    def _ack(self, event: Any, moved: Sequence[RowsMoved]) -> Any:
        return SimpleNamespace(
            start_event=event,
            finish_event=event,
            node_ids=[each.node_id for each in moved],
            num_bytes=2 * sum(len(each.taken) for each in moved),
            num_tokens_by_pool={},
            timing_enabled=self._timed,
        )


def _queue(
    queue: list[RowsMoved], taken: torch.Tensor, given: torch.Tensor | None, node_id: int
) -> torch.Tensor | None:
    if given is not None:
        queue.append(RowsMoved(taken, given, node_id))
    return given


def assembled(core: str, controller: Any, load_from: int) -> Any:
    """Return a cache over the pools of a controller.

    Args:
        core: Of its tree: `scalesim`, or SGLang's `rust` or `python` with LRU.
        controller: Like `StubCacheController`.
        load_from: Tokens from which a request loads what is in host memory.
    """
    device, host = controller.device, controller.mem_pool_host
    params = CacheInitParams(
        disable=False,
        req_to_token_pool=SimpleNamespace(),
        token_to_kv_pool_allocator=device,
        page_size=device.page_size,
    )
    params.tree_components = (ComponentType.FULL,)
    params.tree_core_backend = core
    subject = (DistanceRadixCache if core == BACKEND else UnifiedRadixCache)(params)
    subject.cache_controller, subject.host_pool_group = controller, host
    subject.components[ComponentType.FULL]._full_kv_pool_host = host
    subject.tree_core.set_hicache_enabled()
    subject.write_through_threshold, subject.is_write_back = 1, False
    subject.metrics_collector, subject.load_back_threshold = None, load_from
    if core == BACKEND:
        subject.every_pass = lambda: None
    return subject


def cache(core: str, device_tokens: int) -> Any:
    """Return a cache that counts, with ten times the host memory; see `assembled`."""
    return assembled(
        core, StubCacheController(Pool(device_tokens), Pool(10 * device_tokens)), load_from=10
    )


def insert(subject: Any, tokens: list[int]) -> None:
    """Give a cache a sequence, its host copy written."""
    rows = subject.token_to_kv_pool_allocator.alloc(len(tokens))
    subject.insert(InsertParams(key=_key(tokens), value=rows))
    subject.flush_pending_backups()
    subject.writing_check(finish_count=len(subject.cache_controller.ack_write_queue))


def match(subject: Any, tokens: list[int]) -> Any:
    """Look a sequence up."""
    return subject.match_prefix(MatchPrefixParams(_key(tokens)))


def _key(tokens: list[int]) -> Any:
    return RadixKey(array("q", tokens), None)
