"""SGLang's radix cache: it reports what happens in it and does what directives ask."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from sglang.srt.mem_cache.base_prefix_cache import EvictParams, EvictResult, MatchPrefixParams
from sglang.srt.mem_cache.radix_cache import RadixKey
from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache, _OngoingLoadBack

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.ordered_leaves import OrderedLeaves
from scalesim.deployments.engine.payloads.moves import NO_ARRIVALS, Arrivals, MoveOutcome
from scalesim.deployments.engine.payloads.prefix_tree import Extent, TreeListener
from scalesim.deployments.engine.prefixes import CacheSpace, Prefix, Tokens
from scalesim.deployments.engine.sglang.backends import is_read_ahead, watched
from scalesim.deployments.engine.sglang.loads import NO_EVENT, Loads, wait_in_prefill_alone
from scalesim.deployments.engine.sglang.page_store import PageStore
from scalesim.deployments.engine.sglang.pass_cost import ASSUMED_TOKENS
from scalesim.deployments.engine.sglang.prefill import PrefillClock
from scalesim.deployments.engine.sglang.requests_in_use import (
    LiveRequests,
    Needed,
    agent_of,
    key_of,
)
from scalesim.deployments.engine.sglang.storage_tier import StorageTier
from scalesim.deployments.engine.sglang.tree_core import BACKEND, FULL, OrderedFull
from scalesim.deployments.engine.storage.rank_faults import RankFaults
from scalesim.environment import engine_storage_bytes_from_env
from scalesim.vocabulary import Budgets


class DistanceRadixCache(UnifiedRadixCache):  # type: ignore[misc]
    """SGLang's radix cache with the verbs of `payloads.prefix.PrefixTree`."""

    watcher: TreeListener | None = None
    every_pass: Callable[[], object]
    storage: StorageTier | None = None
    pass_tokens = ASSUMED_TOKENS
    """Tokens that the link copies while a prefill pass is made that computes little."""
    _faults: RankFaults | None = None
    _scheduler: Any = None
    _requests: LiveRequests | None = None
    _in_use: Needed[int]

    def __init__(self, params: Any) -> None:
        params.tree_core_backend = BACKEND
        params.component_registry_override = {FULL: OrderedFull}
        self.loads = Loads(self)
        self._backups: set[int] = set()
        self._prefill: PrefillClock | None = None
        super().__init__(params)
        kv = self.token_to_kv_pool_allocator.get_kvcache()
        rows = kv.size + kv.page_size
        self.bytes_per_token = int(np.sum(kv.get_kv_size_bytes())) // rows

    def init_hicache(self, server_args: Any, params: Any) -> None:
        super().init_hicache(server_args, params)
        controller = self.cache_controller
        if not self.enable_storage or self.buffer_pipeline is not None:
            return
        store = controller.storage_backend
        ours = isinstance(store, PageStore)
        if ours:
            self._faults = store.faults
        if is_read_ahead(controller.storage_config):
            pages = store.folder if ours else watched(controller, engine_storage_bytes_from_env())
            self.storage = StorageTier(self, pages)

    def storage_fault(self) -> str:
        return self._faults.first() if self._faults is not None else ""

    @property
    def order(self) -> DistanceOrder:
        order: DistanceOrder = self.tree_core.order
        return order

    def attend(self, scheduler: Any, requests: LiveRequests) -> None:
        """Serve a scheduler, with its requests; call before `watch`."""
        self._scheduler, self._requests = scheduler, requests
        self._in_use = requests.follow(key_of)
        wait_in_prefill_alone(scheduler)

    def watch(self, watcher: TreeListener) -> None:
        self.watcher = self.tree_core.watcher = watcher
        if self._scheduler is not None:
            self._prefill = PrefillClock(self._scheduler, watcher)
            self._in_use.gone = watcher.idle

    def reset(self) -> None:
        # A copy under way would write over what takes its pages next.
        self.loads.finish_all()
        super().reset()
        if self.watcher is not None:
            self.watcher.forget()

    def checkpoint_into_tree(self, req: Any, *, up_to: int, **kwargs: Any) -> None:
        super().checkpoint_into_tree(req, up_to=up_to, **kwargs)
        hint = agent_of(req)
        if hint is None or self.watcher is None:
            return
        if not req.finished():
            self.watcher.used(hint.key, req.host_hit_length)
            return
        tokens = np.array(req.full_untruncated_fill_ids[:up_to], dtype=np.int64)
        whole = len(tokens) // self.page_size * self.page_size
        space = (req.extra_key, req.cache_salt)
        latest = Prefix(tokens, len(req.origin_input_ids), space, whole)
        self.watcher.learn(hint.key, latest, hint.next_use)

    def claim_kv_row(self, req: Any) -> bool:
        """A request gives back its KV: it is finished, or goes back to the queue."""
        if self._requests is not None and req.finished():
            self._requests.left(req)
        return bool(super().claim_kv_row(req))

    def lock(self, node_id: int, *args: Any, **kwargs: Any) -> Any:
        lock = super().lock(node_id, *args, **kwargs)
        if self.ongoing_load_back and lock is not None:
            self.loads.lock(lock, self.tree_core.node_by_id(node_id))
        return lock

    def unlock(self, lock: Any) -> None:
        self.loads.unlock(lock)
        super().unlock(lock)

    def insert(self, params: Any) -> Any:
        """Give the tree what a request computed; the request is moved to pages it had already.

        A batch that reads them may be running: they must have arrived before the caller does so.
        """
        result = super().insert(params)
        if self.ongoing_load_back:
            last = self.tree_core.node_by_id(result.last_device_node)
            self._finish_load(self.tree_core.arrival(last))
        return result

    def _finish_load(self, number: int) -> None:
        if number >= self.tree_core.next_transfer:
            self._submit_loads()
        self.loads.finish(number)

    def ready_to_load_host_cache(self) -> int:
        """Submit queued loads; return the slot that the batch just built must wait for."""
        awaited = self.loads.take_awaited() if self.cache_controller is not None else NO_EVENT
        index = self._submit_loads()
        return index if index >= 0 else awaited

    def _submit_loads(self) -> int:
        if self.cache_controller is None or not self.cache_controller.load_queue:
            return int(super().ready_to_load_host_cache())
        self.loads.free_slot()
        began = time.perf_counter()
        index = int(super().ready_to_load_host_cache())
        self.loads.submitted(time.perf_counter() - began)
        return index

    def loading_check(self, finish_count: int | None = None) -> None:
        controller = self.cache_controller
        acks = list(controller.ack_load_queue) if controller is not None else []
        super().loading_check(finish_count)
        if acks:
            self.loads.arrived(acks[: len(acks) - len(controller.ack_load_queue)])

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

    def _evict_device_next_node(self, component_type: Any, tracker: Any) -> tuple[Any, bool]:
        """As SGLang's, for an order that frees nothing by itself."""
        number = self.tree_core.components_by_type[FULL].next_victim(tracker[FULL])
        return number, number is not None

    def _await_copies(self) -> bool:
        """Take over every copy under way; False where there is none.

        Ranks of one stage hold the same copies and get here together. Stages do not.
        """
        controller = self.cache_controller
        if controller is None or self.pp_size > 1:
            return False
        self.flush_pending_backups()
        loads, writes = len(controller.ack_load_queue), len(controller.ack_write_queue)
        self.loading_check(finish_count=loads)
        self.writing_check(finish_count=writes)
        return loads + writes > 0

    def check_hicache_events(self) -> None:
        """Called at the start of every pass: copies that arrived, then our share of work."""
        super().check_hicache_events()
        if self._prefill is not None:
            self._prefill.collect()
        if self._requests is not None:
            self._requests.look()
        self.every_pass()
        self.flush_pending_backups()

    def budgets(self) -> Budgets:
        host = self.cache_controller.mem_pool_host.size if self.cache_controller else 0
        device = self.token_to_kv_pool_allocator.size
        storage = self.storage.budget() if self.storage is not None else 0
        return Budgets(device * self.bytes_per_token, host * self.bytes_per_token, storage)

    def locate(self, tokens: Tokens, space: CacheSpace) -> Any:
        extra_key, salt = space
        ids = array("q", tokens.astype(np.int64).tobytes())
        key = RadixKey(ids, extra_key, cache_salt=salt)
        return self.tree_core.node_by_id(self._match_tree(MatchPrefixParams(key)).best_match_node)

    def path(self, node: Any) -> Sequence[Any]:
        nodes, in_tree = [], self.tree_core._node_arena.get
        while (parent := node.parent) is not None:  # only the root has none
            if in_tree(node.id) is node:
                nodes.append(node)
            node = parent
        nodes.reverse()
        return nodes

    def farther(self, node: Any) -> None:
        self.tree_core.farther(node)

    def nearer(self, node: Any) -> None:
        self.tree_core.nearer(node)

    def extents(self, node: Any) -> Sequence[Extent]:
        found, in_tree = [], self.tree_core._node_arena.get
        while (parent := node.parent) is not None:  # only the root has none
            if in_tree(node.id) is node:
                data = node.component_data[FULL]
                on_device, on_host = data.value is not None, data.host_value is not None
                found.append((node, len(node.key), on_device, on_host))
            node = parent
        found.reverse()
        return found

    def tokens_of(self, node: Any) -> int:
        return len(node.key)

    def on_device(self, node: Any) -> bool:
        return node.component_data[FULL].value is not None

    def on_host(self, node: Any) -> bool:
        return bool(node.backuped)

    def make_room(self, tokens: int, farther_than: float, most: int | None = None) -> MoveOutcome:
        pool, leaves = self.token_to_kv_pool_allocator, self.tree_core.evictable_device_leaves
        if pool.available_size() < tokens:
            self._backups.intersection_update(self.ongoing_write_through)
            if self._backups:
                return MoveOutcome.BUSY
        return self._free_until(
            pool.available_size, tokens, (-farther_than,), leaves, self.leave_device, most
        )

    def make_host_room(self, tokens: int, farther_than: float) -> bool:
        """Free host tokens likewise, of what is not on the device; False if they are too few."""
        return self._free_host(tokens, (-farther_than,))

    def _free_host(self, tokens: int, before: tuple[float, ...]) -> bool:
        pool, leaves = self.cache_controller.mem_pool_host, self.tree_core.evictable_host_leaves
        freed = self._free_until(pool.available_size, tokens, before, leaves, self.leave_host)
        return freed is MoveOutcome.DONE

    def _free_until(
        self,
        available: Callable[[], int],
        tokens: int,
        before: tuple[float, ...],
        leaves: OrderedLeaves,
        leave: Callable[[Any], MoveOutcome],
        most: int | None = None,
    ) -> MoveOutcome:
        priority = self.tree_core.eviction_strategy.get_priority
        coming = left = 0
        with leaves.in_order() as in_order:
            while available() + coming < tokens:
                leaf = next(in_order, None)
                if leaf is None or priority(leaf) >= before:
                    break
                if left == most:
                    return MoveOutcome.BUSY
                left += 1
                if leave(leaf) is MoveOutcome.BUSY:
                    coming += self.tokens_of(leaf)
        if available() >= tokens:
            return MoveOutcome.DONE
        return MoveOutcome.BUSY if coming else MoveOutcome.REFUSED

    def can_load(self, *, ahead: bool) -> bool:
        return self.loads.can_start(ahead=ahead)

    def bring(self, keys: Sequence[int], hidden: int) -> Arrivals:
        """See `admission_order.WaitedPrefixes`."""
        return self.watcher.bring(keys, hidden) if self.watcher is not None else NO_ARRIVALS

    def resident_tokens(self, key: int) -> int:
        """See `admission_order.WaitedPrefixes`."""
        return self.watcher.resident_tokens(key) if self.watcher is not None else 0

    def measured_pass_tokens(self) -> int:
        """See `pass_cost.MeasuredCache`."""
        least_s = self._prefill.least_s if self._prefill is not None else 0.0
        if not least_s or not self.loads.busy_s:
            return 0
        return int(least_s * self.loads.carried_bytes / self.loads.busy_s / self.bytes_per_token)

    def load(self, node: Any) -> bool:
        """As SGLang's `load_back`, for attention alone and where there is room already."""
        if self.sidecar_pool_specs:
            return bool(self.load_back(node.id))
        core, missing = self.tree_core, self.tree_core.missing(node)
        copies = [each.component_data[FULL].host_value for each in missing]
        if sum(map(len, copies)) < self.load_back_threshold:
            return False
        taken = torch.cat(copies) if len(copies) > 1 else copies[0]
        given = self.cache_controller.load(host_indices=taken, node_id=node.id)
        if given is None:
            return False
        host_lock = self.inc_host_lock_ref(node.id).to_dec_params()
        lock = core.arriving(missing, given).to_dec_params()
        self.ongoing_load_back[node.id] = _OngoingLoadBack(node.id, lock, host_lock)
        return True

    def start_loads(self) -> None:
        self._submit_loads()

    def is_loading(self, node: Any) -> bool:
        return bool(node.arrival)

    def loaded(self) -> tuple[int, float]:
        return self.loads.carried_bytes, self.loads.busy_s

    def leave_device(self, node: Any) -> MoveOutcome:
        """Evict a node, and what no agent owns below it; owned nodes keep a host copy.

        Returns:
            BUSY while a copy of it or of what is below it is written; REFUSED where something
            needs the node on the device or its copy finds no room.
        """
        for child in filter(self.on_device, list(node.children.values())):
            left = MoveOutcome.REFUSED if child.owners else self.leave_device(child)
            if left is not MoveOutcome.DONE:
                return left
        if node.write_through_pending_id is not None:
            return MoveOutcome.BUSY
        if not self.tree_core._is_device_leaf(node):
            return MoveOutcome.REFUSED
        if node.owners and not node.backuped:
            return MoveOutcome.BUSY if self._back_up(node) else MoveOutcome.REFUSED
        self._evict_device_leaf(node.id, dict.fromkeys(self.tree_components, 0))
        return MoveOutcome.DONE

    def _back_up(self, node: Any) -> bool:
        """Start writing the host copy of a node and of all above it that have none, or of none.

        A copy below a node without one is lost with that node, while the tree still counts it.
        """
        copies = self.tree_core.build_backup_kv_action(node.id)
        tokens = sum(self.tokens_of(self.tree_core.node_by_id(each)) for each in copies.node_ids)
        if not self._free_host(tokens, self.tree_core.eviction_strategy.get_priority(node)):
            return False
        self._execute_and_commit_kv_backup(copies)
        self._backups.add(node.id)
        return bool(node.backuped)

    def leave_host(self, node: Any) -> MoveOutcome:
        """Delete a host-only node, and what no agent owns below it; REFUSED where it is needed."""
        for child in list(node.children.values()):
            if child.owners or self.leave_host(child) is not MoveOutcome.DONE:
                return MoveOutcome.REFUSED
        core = self.tree_core
        if not core._is_host_leaf(node):
            return MoveOutcome.REFUSED
        device_frees: dict[Any, list[Any]] = {ct: [] for ct in self.tree_components}
        host_frees: dict[Any, list[Any]] = {ct: [] for ct in self.tree_components}
        tracker = dict.fromkeys(self.tree_components, 0)
        actions: list[Any] = []
        core._evict_host_leaf(node, tracker, device_frees, host_frees, actions)
        self._free_values(device_frees, host_frees)
        self._apply_cache_actions(actions)
        return MoveOutcome.DONE

    def keys_in_use(self) -> Collection[int]:
        return self._in_use.needs if self._requests is not None else ()
