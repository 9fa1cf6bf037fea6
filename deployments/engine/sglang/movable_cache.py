"""SGLang's radix cache with what directives ask of it: nodes by tokens, and moves between tiers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sglang.srt.mem_cache.base_prefix_cache import MatchPrefixParams
from sglang.srt.mem_cache.radix_cache import RadixKey
from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache, _OngoingLoadBack

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.ordered_leaves import OrderedLeaves
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_tree import Extent
from scalesim.deployments.engine.prefixes import CacheSpace, Tokens
from scalesim.deployments.engine.sglang.loads import Loads
from scalesim.deployments.engine.sglang.storage_tier import StorageTier
from scalesim.deployments.engine.sglang.tree_core import BACKEND, FULL, OrderedFull
from scalesim.vocabulary import Budgets


class MovableRadixCache(UnifiedRadixCache):  # type: ignore[misc]
    """Does the verbs of `payloads.prefix_tree.PrefixTree` that read the tree or move its nodes.

    Attributes:
        loads: Copies to the device that are under way.
        backups: Nodes whose host copies were begun so that they may leave the device.
        storage: Pages below host memory; None where there are none.
        bytes_per_token: Bytes per token of the cache.
    """

    storage: StorageTier | None = None

    def __init__(self, params: Any) -> None:
        params.tree_core_backend = BACKEND
        params.component_registry_override = {FULL: OrderedFull}
        self.loads = Loads(self)
        self.backups: set[int] = set()
        super().__init__(params)
        kv = self.token_to_kv_pool_allocator.get_kvcache()
        rows = kv.size + kv.page_size
        self.bytes_per_token = int(np.sum(kv.get_kv_size_bytes())) // rows

    @property
    def order(self) -> DistanceOrder:
        order: DistanceOrder = self.tree_core.order
        return order

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
            self.backups.intersection_update(self.ongoing_write_through)
            if self.backups:
                return MoveOutcome.BUSY
        room = self._free_until(
            pool.available_size, tokens, (-farther_than,), leaves, self.leave_device, most
        )
        # What has just been computed is locked, with all above it, until its host copy is written.
        written = room is MoveOutcome.REFUSED and self.ongoing_write_through
        return MoveOutcome.BUSY if written else room

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
        self.backups.add(node.id)
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
