"""SGLang's radix cache: what happens in it is told, what directives ask of it is done."""

from __future__ import annotations

import heapq
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sglang.srt.mem_cache.base_prefix_cache import EvictParams, EvictResult, MatchPrefixParams
from sglang.srt.mem_cache.radix_cache import RadixKey
from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache

from deployments.engine.order import DistanceOrder
from deployments.engine.payloads.tree import Watcher
from deployments.engine.prefixes import Prefix, Space, Tokens
from deployments.engine.sglang.backends import is_read_ahead, watched
from deployments.engine.sglang.pages import PageStore
from deployments.engine.sglang.requests import agent_of, requests
from deployments.engine.sglang.storage import StorageTier
from deployments.engine.sglang.tree import BACKEND, FULL
from scalesim.settings import engine_storage_bytes_from_env
from scalesim.vocabulary import Budgets

TOLD_COMPUTED_S = 0.2
"""Seconds of prefill that are told together: its speed is no news at every request."""


class DistanceRadixCache(UnifiedRadixCache):  # type: ignore[misc]
    """SGLang's radix cache with the verbs of `payloads.prefix.PrefixTree`."""

    watcher: Watcher | None = None
    every_pass: Callable[[], object]
    storage: StorageTier | None = None
    scheduler: Any = None

    def __init__(self, params: Any) -> None:
        params.tree_core_backend = BACKEND
        super().__init__(params)
        self._awaited = False
        self._computed_tokens, self._computed_s, self._computed_until = 0, 0.0, 0.0
        kv = self.token_to_kv_pool_allocator.get_kvcache()
        rows = kv.size + kv.page_size
        self.bytes_per_token = int(np.sum(kv.get_kv_size_bytes())) // rows

    def init_hicache(self, server_args: Any, params: Any) -> None:
        super().init_hicache(server_args, params)
        controller = self.cache_controller
        if not self.enable_storage or self.buffer_pipeline is not None:
            return
        if is_read_ahead(controller.storage_config):
            store = controller.storage_backend
            ours = isinstance(store, PageStore)
            pages = store.folder if ours else watched(controller, engine_storage_bytes_from_env())
            self.storage = StorageTier(self, pages)

    @property
    def order(self) -> DistanceOrder:
        order: DistanceOrder = self.tree_core.order
        return order

    def watch(self, watcher: Watcher) -> None:
        self.watcher = self.tree_core.watcher = watcher

    # ---- what we listen to ----

    def reset(self) -> None:
        super().reset()
        if self.watcher is not None:
            self.watcher.forget()

    def checkpoint_into_tree(self, req: Any, *, up_to: int, **kwargs: Any) -> None:
        computed_tokens = up_to - req.kv.cache_protected_len
        super().checkpoint_into_tree(req, up_to=up_to, **kwargs)
        hint = agent_of(req)
        if hint is None or self.watcher is None:
            return
        if not req.finished():
            self._time(computed_tokens, req.time_stats.last_forward_entry_time)
            self.watcher.used(hint.key, req.host_hit_length)
            return
        tokens = np.array(req.full_untruncated_fill_ids[:up_to], dtype=np.int64)
        whole = len(tokens) // self.page_size * self.page_size
        space = (req.extra_key, req.cache_salt)
        latest = Prefix(tokens, len(req.origin_input_ids), space, whole)
        self.watcher.learn(hint.key, latest, hint.next_use)

    def _time(self, tokens: int, began: float) -> None:
        """Note how long prefill took, requests of one batch share its time; tell it in portions."""
        now = time.perf_counter()
        self._computed_tokens += tokens
        self._computed_s += now - max(began, self._computed_until)
        self._computed_until = now
        if self._computed_s >= TOLD_COMPUTED_S and self.watcher is not None:
            self.watcher.computed(self._computed_tokens, self._computed_s)
            self._computed_tokens, self._computed_s = 0, 0.0

    def inc_lock_ref(self, node_id: int, *args: Any, **kwargs: Any) -> Any:
        result = super().inc_lock_ref(node_id, *args, **kwargs)
        if self.ongoing_load_back and not self._awaited:
            path = self.path(self.tree_core.node_by_id(node_id))
            self._awaited = any(node.id in self.ongoing_load_back for node in path)
        return result

    def ready_to_load_host_cache(self) -> int:
        """Submit loads; a batch that locked a prefix still on its way waits for it too.

        One stream carries all loads in order, so waiting for the latest covers earlier ones.
        """
        index: int = super().ready_to_load_host_cache()
        if index < 0 and self._awaited and self.cache_controller is not None:
            index = self.cache_controller.layer_done_counter.producer_index
        self._awaited = False
        return index

    def evict_for_alloc(self, params: EvictParams, **kwargs: Any) -> EvictResult:
        """Make room for a request; what copies under way hold is waited for, then evicted too.

        A running request would be sent back otherwise, the last one aborted, for the sake of a
        load that takes a few milliseconds.
        """
        result = super().evict_for_alloc(params, **kwargs)
        missing = params.num_tokens - result.num_tokens_evicted
        if missing > 0 and not kwargs and self._await_copies():
            more = super().evict_for_alloc(EvictParams(num_tokens=missing))
            result.num_tokens_evicted += more.num_tokens_evicted
        return result

    def _await_copies(self) -> bool:
        """Take over every copy under way; False where there is none.

        Ranks of one stage hold the same copies and get here together. Stages do not.
        """
        controller = self.cache_controller
        if controller is None or self.pp_size > 1:
            return False
        loads, writes = len(controller.ack_load_queue), len(controller.ack_write_queue)
        self.loading_check(finish_count=loads)
        self.writing_check(finish_count=writes)
        return loads + writes > 0

    def check_hicache_events(self) -> None:
        """Called at the start of every pass: copies that arrived, then our share of work."""
        super().check_hicache_events()
        self.every_pass()

    # ---- PrefixTree ----

    def budgets(self) -> Budgets:
        host = self.cache_controller.mem_pool_host.size if self.cache_controller else 0
        device = self.token_to_kv_pool_allocator.size
        storage = self.storage.budget() if self.storage is not None else 0
        return Budgets(device * self.bytes_per_token, host * self.bytes_per_token, storage)

    def locate(self, tokens: Tokens, space: Space) -> Any:
        extra_key, salt = space
        key = RadixKey(array("q", tokens.tobytes()), extra_key, cache_salt=salt)
        return self.tree_core.node_by_id(self._match_tree(MatchPrefixParams(key)).best_match_node)

    def path(self, node: Any) -> Sequence[Any]:
        nodes = []
        while node is not None and node is not self.tree_core.root_node:
            if self.tree_core._node_arena.get(node.id) is node:
                nodes.append(node)
            node = node.parent
        return nodes[::-1]

    def tokens_of(self, node: Any) -> int:
        return len(node.key)

    def on_device(self, node: Any) -> bool:
        return node.component_data[FULL].value is not None

    def on_host(self, node: Any) -> bool:
        return bool(node.backuped)

    def make_room(self, tokens: int, farther_than: float) -> bool:
        """Free device tokens held by owners farther than a distance; False if they are too few."""
        pool, leaves = self.token_to_kv_pool_allocator, self.tree_core.evictable_device_leaves
        return self._free_until(
            pool.available_size, tokens, farther_than, leaves, self.leave_device
        )

    def make_host_room(self, tokens: int, farther_than: float) -> bool:
        """Free host tokens likewise, of what is not on the device."""
        pool, leaves = self.cache_controller.mem_pool_host, self.tree_core.evictable_host_leaves
        return self._free_until(pool.available_size, tokens, farther_than, leaves, self.leave_host)

    def _free_until(
        self,
        available: Callable[[], int],
        tokens: int,
        farther_than: float,
        leaves: set[Any],
        leave: Callable[[Any], bool],
    ) -> bool:
        if available() >= tokens:
            return True
        priority = self.tree_core.eviction_strategy.get_priority
        heap = [(priority(leaf), leaf.id, leaf) for leaf in leaves]
        heapq.heapify(heap)
        while heap and available() < tokens:
            (farthest, _), _, leaf = heapq.heappop(heap)
            if -farthest <= farther_than:
                break
            parent = leaf.parent
            leave(leaf)
            if parent in leaves:
                heapq.heappush(heap, (priority(parent), parent.id, parent))
        return available() >= tokens

    def can_load(self) -> bool:
        return self.cache_controller is not None and bool(self.has_free_load_back_slot())

    def load(self, node: Any) -> bool:
        return bool(self.load_back(node.id))

    def start_loads(self) -> None:
        super().ready_to_load_host_cache()

    def is_loading(self, node: Any) -> bool:
        return node.id in self.ongoing_load_back

    def leave_device(self, node: Any) -> bool:
        """Evict a node, and what nobody owns below it; owned nodes keep a host copy."""
        for child in list(node.children.values()):
            if self.on_device(child) and (child.owners or not self.leave_device(child)):
                return False
        if not self.tree_core._is_device_leaf(node):
            return False
        if node.owners and not node.backuped and not self.backup_node_for_write_back(node.id):
            return False
        self._evict_device_leaf(node.id, dict.fromkeys(self.tree_components, 0))
        return True

    def leave_host(self, node: Any) -> bool:
        """Delete a host-only node, and what nobody owns below it."""
        for child in list(node.children.values()):
            if child.owners or not self.leave_host(child):
                return False
        core = self.tree_core
        if not core._is_host_leaf(node):
            return False
        device_frees: dict[Any, list[Any]] = {ct: [] for ct in self.tree_components}
        host_frees: dict[Any, list[Any]] = {ct: [] for ct in self.tree_components}
        tracker = dict.fromkeys(self.tree_components, 0)
        actions: list[Any] = []
        core._evict_host_leaf(node, tracker, device_frees, host_frees, actions)
        self._free_values(device_frees, host_frees)
        self._apply_cache_actions(actions)
        return True

    def keys_in_use(self) -> set[int]:
        hints = map(agent_of, requests(self.scheduler))
        return {hint.key for hint in hints if hint is not None}
