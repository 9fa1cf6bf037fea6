"""SGLang's radix cache as a scheduler uses it; a watcher is told what requests do to the tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from sglang.srt.mem_cache.base_prefix_cache import EvictParams, EvictResult

from scalesim.deployments.engine.payloads.moves import NO_ARRIVALS, Arrivals
from scalesim.deployments.engine.payloads.prefix_tree import TreeListener
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.deployments.engine.sglang.backends import is_read_ahead, watched
from scalesim.deployments.engine.sglang.loads import NO_EVENT, wait_in_prefill_alone
from scalesim.deployments.engine.sglang.movable_cache import MovableRadixCache
from scalesim.deployments.engine.sglang.page_store import PageStore
from scalesim.deployments.engine.sglang.pass_cost import ASSUMED_TOKENS
from scalesim.deployments.engine.sglang.prefill import PrefillClock
from scalesim.deployments.engine.sglang.requests_in_use import (
    CurrentNeeds,
    LiveRequests,
    agent_of,
    key_of,
)
from scalesim.deployments.engine.sglang.storage_tier import StorageTier
from scalesim.deployments.engine.sglang.tree_core import FULL
from scalesim.deployments.engine.storage.rank_faults import RankFaults
from scalesim.environment import engine_storage_bytes_from_env


class DistanceRadixCache(MovableRadixCache):
    """Serves a scheduler, and tells a watcher what its requests do to the tree.

    Attributes:
        watcher: Who is told; None before `watch`.
        every_pass: Called once a pass.
        prefill: Times prefill; None before a scheduler is watched.
    """

    watcher: TreeListener | None = None
    every_pass: Callable[[], object]
    pass_tokens = ASSUMED_TOKENS
    """Tokens that the link copies while a prefill pass is made that computes little."""
    _faults: RankFaults | None = None
    _scheduler: Any = None
    _requests: LiveRequests | None = None
    _in_use: CurrentNeeds[int]

    def __init__(self, params: Any) -> None:
        self.prefill: PrefillClock | None = None
        super().__init__(params)

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

    def attend(self, scheduler: Any, requests: LiveRequests) -> None:
        """Serve a scheduler, with its requests; call before `watch`."""
        self._scheduler, self._requests = scheduler, requests
        self._in_use = requests.follow(key_of)
        wait_in_prefill_alone(scheduler)

    def watch(self, watcher: TreeListener) -> None:
        self.watcher = self.tree_core.watcher = watcher
        if self._scheduler is not None:
            self.prefill = PrefillClock(self._scheduler, watcher)
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
        if self.prefill is not None:
            self.prefill.collect()
        if self._requests is not None:
            self._requests.look()
        self.every_pass()
        self.flush_pending_backups()

    def bring(self, keys: Sequence[int], hidden: int, running: int) -> Arrivals:
        """See `admission_order.WaitedPrefixes`."""
        if self.watcher is None:
            return NO_ARRIVALS
        return self.watcher.bring(keys, hidden, running)

    def resident_tokens(self, key: int) -> int:
        """See `admission_order.WaitedPrefixes`."""
        return self.watcher.resident_tokens(key) if self.watcher is not None else 0

    def measured_pass_tokens(self) -> int:
        """See `pass_cost.MeasuredCache`."""
        least_s = self.prefill.least_s if self.prefill is not None else 0.0
        if not least_s or not self.loads.busy_s:
            return 0
        return int(least_s * self.loads.carried_bytes / self.loads.busy_s / self.bytes_per_token)

    def start_loads(self) -> None:
        self._submit_loads()

    def keys_in_use(self) -> Collection[int]:
        return self._in_use.needs if self._requests is not None else ()
