"""SGLang's cache over pools that only count: what is left is the time of the tree's own work."""

from __future__ import annotations

import warnings
from array import array
from types import SimpleNamespace
from typing import Any

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
    from scalesim.deployments.engine.sglang.tree_core import BACKEND, DistanceTreeCore

assert boot
register_tree_core_backend(BACKEND, DistanceTreeCore)

PAGE = 16


class Pool:
    """Rows as a number."""

    device = torch.device("cpu")
    page_size = PAGE

    def __init__(self, size: int) -> None:
        self.size = self.free_tokens = size
        self.anchor_entry = SimpleNamespace(
            host_pool=SimpleNamespace(shared_allocation_domain=None), host_evict_fn=None
        )

    def get_kvcache(self) -> Any:
        return SimpleNamespace(
            size=self.size, page_size=PAGE, get_kv_size_bytes=lambda: (self.size, self.size)
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
        self.free_tokens += len(rows)

    def mamba_full_cache_donor(self) -> None:
        return None


class Done:
    """An event of a copy that took no time."""

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        """Return at once."""


class Controller:
    """HiCache's, whose copies are done at once."""

    write_policy = "write_through"
    enable_storage = False
    pp_prefetch_command_group = None

    def __init__(self, device: Pool, host: Pool) -> None:
        self.device, self.mem_pool_host = device, host
        self.load_queue: list[int] = []
        self.write_queue: list[int] = []
        self.ack_load_queue: list[Any] = []
        self.ack_write_queue: list[Any] = []
        self.layer_done_counter = SimpleNamespace(num_counters=3, producer_index=-1)

    def write(self, rows: torch.Tensor, node_id: int = -1, **more: Any) -> torch.Tensor | None:
        self.write_queue.append(node_id)
        return self.mem_pool_host.alloc(len(rows))

    def load(self, host_indices: torch.Tensor, node_id: int = -1, **more: Any) -> Any:
        self.load_queue.append(node_id)
        return self.device.alloc(len(host_indices))

    def start_writing(self) -> None:
        self._start(self.write_queue, self.ack_write_queue)

    def start_loading(self) -> int:
        self._start(self.load_queue, self.ack_load_queue)
        self.layer_done_counter.producer_index += 1
        index: int = self.layer_done_counter.producer_index % 3
        return index

    def _start(self, queue: list[int], acks: list[Any]) -> None:
        if queue:
            ack = SimpleNamespace(finish_event=Done(), node_ids=list(queue), num_tokens_by_pool={})
            ack.num_bytes, ack.timing_enabled = 0, False
            acks.append(ack)
            queue.clear()


def cache(core: str, device_tokens: int) -> Any:
    """Return a cache with a tree core: `scalesim`, or SGLang's `rust` or `python` with LRU."""
    device, host = Pool(device_tokens), Pool(10 * device_tokens)
    params = CacheInitParams(
        disable=False,
        req_to_token_pool=SimpleNamespace(),
        token_to_kv_pool_allocator=device,
        page_size=PAGE,
    )
    params.tree_components = (ComponentType.FULL,)
    params.tree_core_backend = core
    subject = (DistanceRadixCache if core == BACKEND else UnifiedRadixCache)(params)
    subject.cache_controller, subject.host_pool_group = Controller(device, host), host
    subject.components[ComponentType.FULL]._full_kv_pool_host = host
    subject.tree_core.set_hicache_enabled()
    subject.write_through_threshold, subject.is_write_back = 1, False
    subject.metrics_collector, subject.load_back_threshold = None, 10
    if core == BACKEND:
        subject.every_pass = lambda: None
    return subject


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
