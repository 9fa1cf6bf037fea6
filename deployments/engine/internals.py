"""The wall: the only module that touches SGLang 0.5.23's own classes.

Our radix cache and tree core are subclasses, selected through SGLang's two backend registries;
three scheduler methods are hooked. `self_check` proves at start-up that all of it is in place.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from sglang.srt.managers.scheduler import Scheduler
from sglang.srt.managers.scheduler_components.idle_sleeper import IdleSleeper
from sglang.srt.managers.scheduler_components.request_receiver import SchedulerRequestReceiver
from sglang.srt.mem_cache.base_prefix_cache import MatchPrefixParams
from sglang.srt.mem_cache.evict_policy import EvictionStrategy
from sglang.srt.mem_cache.radix_cache import RadixKey
from sglang.srt.mem_cache.registry import create_unified_radix_cache, register_radix_cache_backend
from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
from sglang.srt.mem_cache.unified_cache.tree_core_registry import register_tree_core_backend
from sglang.srt.mem_cache.unified_cache.unified_tree_core import EvictLayer, UnifiedTreeCore
from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache
from sglang.srt.plugins.hook_registry import HookRegistry, HookType
from sglang.srt.runtime_context import get_parallel
from sglang.version import __version__

from deployments.engine.identity import HINT_TYPE
from deployments.engine.order import DistanceOrder
from deployments.engine.prefixes import Prefix, Space, Tokens
from scalesim.errors import EngineMismatchError
from scalesim.vocabulary import Budgets

BACKEND = "scalesim"
ENGINE_VERSION = str(__version__)
SUPPORTED_VERSION = "0.5.23"

_FULL = ComponentType.FULL
_HOOKS = (
    f"{Scheduler.__module__}.Scheduler.process_input_requests",
    f"{Scheduler.__module__}.Scheduler.get_init_info",
    f"{SchedulerRequestReceiver.__module__}.SchedulerRequestReceiver._pull_raw_reqs",
)


class Watcher(Protocol):
    """What the cache tells about agents' prefixes, on the scheduler's thread."""

    def learn(self, key: int, latest: Prefix, next_use: float | None) -> None:
        """A request of agent `key` finished; `next_use` is the step distance it told."""

    def used(self, key: int, host_tokens: int) -> None:
        """A request was admitted and had to load `host_tokens` by itself."""

    def evicted(self, owners: Iterable[int]) -> None:
        """A node of these owners left the device."""

    def touched(self, owners: Iterable[int]) -> None:
        """A host copy of these owners is gone."""

    def forget(self) -> None:
        """The cache was flushed."""


class _FarthestFirst(EvictionStrategy):  # type: ignore[misc]
    def __init__(self, order: DistanceOrder) -> None:
        self._nearest = order.nearest

    def get_priority(self, node: Any) -> tuple[float, float]:
        return -self._nearest(node.owners), node.last_access_time


class DistanceTreeCore(UnifiedTreeCore):  # type: ignore[misc]
    """SGLang's Python tree core whose nodes know their owners and leave farthest first."""

    order: DistanceOrder
    watcher: Watcher

    def __init__(self, params: Any, components: Any) -> None:
        super().__init__(params, components)
        self.eviction_strategy = _FarthestFirst(self.order)

    def _new_node(self, priority: int = 0) -> Any:
        node = super()._new_node(priority)
        node.owners = set()
        return node

    def _split_node(self, key: Any, child: Any, split_len: int) -> Any:
        parent, action = super()._split_node(key, child, split_len)
        parent.owners = set(child.owners)
        return parent, action

    def _evict_component_and_detach_lru(self, node: Any, comp: Any, *args: Any, **kw: Any) -> Any:
        leaves_device = EvictLayer.DEVICE in kw["target"] and not node.evicted
        result = super()._evict_component_and_detach_lru(node, comp, *args, **kw)
        if comp.component_type is _FULL:
            (self.watcher.evicted if leaves_device else self.watcher.touched)(node.owners)
        return result


class DistanceRadixCache(UnifiedRadixCache):  # type: ignore[misc]
    """SGLang's radix cache with the verbs of `payloads.prefix.PrefixTree`."""

    watcher: Watcher
    every_pass: Callable[[], object]
    scheduler: Any = None

    def __init__(self, params: Any) -> None:
        params.tree_core_backend = BACKEND
        super().__init__(params)
        self._awaited = False
        kv = self.token_to_kv_pool_allocator.get_kvcache()
        rows = kv.size + kv.page_size
        self.bytes_per_token = int(np.sum(kv.get_kv_size_bytes())) // rows

    # ---- what we listen to ----

    def reset(self) -> None:
        super().reset()
        self.watcher.forget()

    def checkpoint_into_tree(self, req: Any, *, up_to: int, **kwargs: Any) -> None:
        super().checkpoint_into_tree(req, up_to=up_to, **kwargs)
        hint = agent_of(req)
        if hint is None:
            return
        key, next_use = hint
        if not req.finished():
            self.watcher.used(key, req.host_hit_length)
            return
        tokens = np.array(req.full_untruncated_fill_ids[:up_to], dtype=np.int64)
        whole = len(tokens) // self.page_size * self.page_size
        space = (req.extra_key, req.cache_salt)
        latest = Prefix(tokens, len(req.origin_input_ids), space, whole)
        self.watcher.learn(key, latest, next_use)

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

    def check_hicache_events(self) -> None:
        """Called at the start of every pass: copies that arrived, then our share of work."""
        super().check_hicache_events()
        self.every_pass()

    # ---- PrefixTree ----

    def budgets(self) -> Budgets:
        host = self.cache_controller.mem_pool_host.size if self.cache_controller else 0
        device = self.token_to_kv_pool_allocator.size
        return Budgets(device * self.bytes_per_token, host * self.bytes_per_token, 0)

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
        return node.component_data[_FULL].value is not None

    def on_host(self, node: Any) -> bool:
        return bool(node.backuped)

    def make_room(self, tokens: int, farther_than: float) -> bool:
        """Free device tokens held by owners farther than a distance; False if they are too few."""
        core, allocator = self.tree_core, self.token_to_kv_pool_allocator
        if allocator.available_size() >= tokens:
            return True
        priority = core.eviction_strategy.get_priority
        heap = [(priority(leaf), leaf) for leaf in core.evictable_device_leaves]
        heapq.heapify(heap)
        while heap and allocator.available_size() < tokens:
            (farthest, _), leaf = heapq.heappop(heap)
            if -farthest <= farther_than:
                break
            parent = leaf.parent
            self.leave_device(leaf)
            if parent in core.evictable_device_leaves:
                heapq.heappush(heap, (priority(parent), parent))
        return bool(allocator.available_size() >= tokens)

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
        scheduler = self.scheduler
        if scheduler is None:
            return set()
        requests = [*scheduler.waiting_queue, *scheduler.running_batch.reqs]
        if scheduler.last_batch is not None:
            requests += scheduler.last_batch.reqs
        if scheduler.chunked_req is not None:
            requests.append(scheduler.chunked_req)
        hints = (agent_of(req) for req in requests if not req.finished())
        return {hint[0] for hint in hints if hint is not None}


def agent_of(req: Any) -> tuple[int, float | None] | None:
    """Return (payload key, told next use in steps) of a request, or None without identity."""
    for action in req.kv_hints.actions if req.kv_hints is not None else ():
        if action.action_type == HINT_TYPE:
            key, next_use = action.payload.get("key"), action.payload.get("next_use")
            if isinstance(key, int):
                return key, float(next_use) if isinstance(next_use, int | float) else None
    return None


class Plugin(Protocol):
    """What SGLang's scheduler calls of ours."""

    @property
    def order(self) -> DistanceOrder:
        """Eviction order, shared with the payload."""

    @property
    def prefixes(self) -> Watcher:
        """Who listens to the cache."""

    def receive(self) -> Collection[Any]:
        """On rank 0, every pass: commands to broadcast among the requests."""

    def accept(self, received: list[Any]) -> list[Any]:
        """On every rank: take the commands out of what was received, return the rest."""

    def work(self) -> None:
        """On every rank, every pass, after arrived copies were acknowledged."""

    def open(self, scheduler: Any) -> None:
        """Once: the scheduler is built and its sockets are open."""


def register(plugin: Plugin) -> None:
    """Register our backends and hooks with SGLang."""
    DistanceTreeCore.order = plugin.order
    DistanceTreeCore.watcher = DistanceRadixCache.watcher = plugin.prefixes
    DistanceRadixCache.every_pass = staticmethod(plugin.work)
    register_tree_core_backend(BACKEND, DistanceTreeCore)
    register_radix_cache_backend(
        BACKEND, lambda ctx: create_unified_radix_cache(ctx, cache_class=DistanceRadixCache)
    )

    def pull(original: Callable[[Any], Any], receiver: Any) -> Any:
        requests = original(receiver)
        if requests is not None:
            requests.extend(plugin.receive())
        return requests

    def process(original: Callable[..., Any], scheduler: Any, requests: list[Any]) -> Any:
        return original(scheduler, plugin.accept(requests))

    def opened(result: Any, scheduler: Any) -> None:
        self_check(scheduler)
        scheduler.tree_cache.scheduler = scheduler
        plugin.open(scheduler)

    process_requests, init_info, pull_requests = _HOOKS
    HookRegistry.register(process_requests, process, HookType.AROUND)
    HookRegistry.register(init_info, opened, HookType.AFTER)
    HookRegistry.register(pull_requests, pull, HookType.AROUND)


def is_first_rank() -> bool:
    """Return whether this scheduler process receives requests for its group."""
    ranks = get_parallel()
    return bool(ranks.pp_rank == ranks.attn_tp_rank == ranks.attn_cp_rank == 0)


def wake_on(scheduler: Any, socket: Any) -> None:
    """Let an idle scheduler wake when `socket` has something to read."""
    if isinstance(scheduler.idle_sleeper, IdleSleeper):
        scheduler.idle_sleeper.poller.register(socket)


def self_check(scheduler: Any) -> None:
    """Prove that every hook is in place.

    Raises:
        EngineMismatchError: The engine is another version or a hook did not apply.
    """
    faults = []
    if ENGINE_VERSION != SUPPORTED_VERSION:
        faults.append(f"SGLang is {ENGINE_VERSION}")
    faults += [f"no hook on {target}" for target in _HOOKS if target not in HookRegistry._patched]
    cache = scheduler.tree_cache
    if type(cache) is not DistanceRadixCache:
        faults.append(f"the radix cache is a {type(cache).__name__}")
    elif type(cache.tree_core) is not DistanceTreeCore:
        faults.append(f"the tree core is a {type(cache.tree_core).__name__}")
    if faults:
        raise EngineMismatchError(
            f"the engine does not match our hooks ({'; '.join(faults)}): expected SGLang "
            f"{SUPPORTED_VERSION} started by ScaleSim; install sglang=={SUPPORTED_VERSION}"
        )
