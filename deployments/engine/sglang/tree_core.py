"""SGLang's prefix tree, whose nodes know their owners and leave farthest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sglang.srt.disaggregation.kv_events import StorageMedium
from sglang.srt.mem_cache.base_prefix_cache import IncLockRefResult
from sglang.srt.mem_cache.evict_policy import EvictionStrategy
from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
from sglang.srt.mem_cache.unified_cache.components.full import FullComponent
from sglang.srt.mem_cache.unified_cache.unified_tree_core import EvictLayer, UnifiedTreeCore
from sglang.srt.mem_cache.unified_cache.unified_tree_core_interface import EvictDeviceLeafResult

from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.ordered_leaves import OrderedLeaves
from scalesim.deployments.engine.payloads.prefix_tree import TreeListener

BACKEND = "scalesim"
FULL = ComponentType.FULL


class FarthestFirst(EvictionStrategy):  # type: ignore[misc]
    """Least recently used among the farthest."""

    def __init__(self, order: DistanceOrder) -> None:
        self._nearest = order.nearest

    def get_priority(self, node: Any) -> tuple[float, float]:
        return -self._nearest(node.owners), node.last_access_time


class OrderedFull(FullComponent):  # type: ignore[misc]
    """SGLang's attention cache of a tree, evicted in the order that its leaves are kept in."""

    def _evict_device_start(self, request_cnt: int) -> None:
        self._walk = self.tree_core.evictable_device_leaves.in_order()
        self._leaves = self._walk.__enter__()
        self._missing_from = request_cnt

    def next_victim(self, evicted: int) -> int | None:
        """Return the next node to go; None where `evicted` tokens are enough or none is left."""
        if evicted >= self._missing_from or (leaf := next(self._leaves, None)) is None:
            return None
        number: int = leaf.id
        return number

    def _evict_device_end(self) -> None:
        self._walk.__exit__(None, None, None)

    def drive_host_eviction(
        self, num_tokens: int, tracker: Any, *frees: Any, cache_actions: Any
    ) -> None:
        with self.tree_core.evictable_host_leaves.in_order() as leaves:
            while tracker[FULL] < num_tokens and (leaf := next(leaves, None)) is not None:
                self.tree_core._evict_host_leaf(leaf, tracker, *frees, cache_actions=cache_actions)


class DistanceTreeCore(UnifiedTreeCore):  # type: ignore[misc]
    """SGLang's Python tree core whose nodes know their owners and leave farthest first.

    A node's `arrival` is the number of the transfer that brings it to the device; 0 once it is
    there.
    """

    watcher: TreeListener | None = None
    next_transfer = 1
    """Number of the transfer that will carry what is queued now."""

    def __init__(self, params: Any, components: Any) -> None:
        self.order = DistanceOrder()
        self._priority = FarthestFirst(self.order).get_priority
        super().__init__(params, components)
        self.eviction_strategy = FarthestFirst(self.order)

    def reset(self) -> None:
        super().reset()
        self.evictable_device_leaves = OrderedLeaves(self._priority, self.order)
        self.evictable_host_leaves = OrderedLeaves(self._priority, self.order)

    def farther(self, node: Any) -> None:
        """Note that a node leaves earlier than it did: owners went, or went farther away."""
        self.evictable_device_leaves.farther(node)
        self.evictable_host_leaves.farther(node)

    def nearer(self, node: Any) -> None:
        """Note that a node leaves later: owners came."""
        self.evictable_device_leaves.nearer(node)
        self.evictable_host_leaves.nearer(node)

    def _new_node(self, priority: int = 0) -> Any:
        node = super()._new_node(priority)
        node.owners = set()
        node.arrival = 0
        node.device_children = {}
        return node

    def _update_evictable_leaf_sets(self, node: Any) -> None:
        """As SGLang's, in one look: a node that moves is looked at a dozen times."""
        data = node.component_data[FULL]
        is_device_leaf = is_host_leaf = False
        if node.parent is not None:
            free = not data.lock_ref
            if data.value is not None:
                node.parent.device_children[node] = None
                is_device_leaf = free and not self._has_child_on_device(node)
            else:
                node.parent.device_children.pop(node, None)
                host_copy = data.host_value is not None
                is_host_leaf = host_copy and free and not (data.host_lock_ref or node.children)
        leaves = self.evictable_device_leaves
        (leaves.add if is_device_leaf else leaves.discard)(node)
        leaves = self.evictable_host_leaves
        (leaves.add if is_host_leaf else leaves.discard)(node)

    def _is_device_leaf(self, node: Any) -> bool:
        data = node.component_data[FULL]
        return (
            node.parent is not None
            and data.value is not None
            and not data.lock_ref
            and not self._has_child_on_device(node)
        )

    def _has_child_on_device(self, node: Any) -> bool:
        """Look at one noted to be there: a head that all agents share has as many children."""
        noted: dict[Any, None] = node.device_children
        while noted:
            child = next(reversed(noted))
            if child.parent is node and child.component_data[FULL].value is not None:
                return True
            del noted[child]
        for child in node.children.values():  # one that a split has just put below it
            if child.component_data[FULL].value is not None:
                noted[child] = None
                return True
        return False

    def _remove_leaf_from_parent(self, node: Any) -> None:
        super()._remove_leaf_from_parent(node)
        node.parent.device_children.pop(node, None)  # it keeps its parent, and its rows

    def _split_node(self, key: Any, child: Any, split_len: int) -> Any:
        parent, action = super()._split_node(key, child, split_len)
        parent.parent.device_children.pop(child, None)
        parent.owners = set(child.owners)
        parent.arrival = child.arrival
        return parent, action

    def commit_load_back(
        self, node_id: int, device_indices: Any, kv_xfer: Any, comp_xfers: Any
    ) -> Any:
        actions = super().commit_load_back(node_id, device_indices, kv_xfer, comp_xfers)
        for loaded in kv_xfer.nodes_to_load or ():
            self.node_by_id(loaded).arrival = self.next_transfer
        return actions

    def missing(self, node: Any) -> list[Any]:
        """Return the nodes of a path that are not on the device, from the top."""
        found = []
        while node is not self.root_node and node.component_data[FULL].value is None:
            found.append(node)
            node = node.parent
        found.reverse()
        return found

    def arriving(self, missing: Sequence[Any], rows: Any) -> IncLockRefResult:
        """Give nodes the rows that their copy is queued to fill, locked with all above them.

        What SGLang does of attention alone in four walks over the path: locks it, lets it go, gives
        it rows and locks it again.

        Args:
            missing: As `missing` returned them.
            rows: Rows of all of them together.
        """
        begin = 0
        for node in missing:
            data, tokens = node.component_data[FULL], len(node.key)
            data.value = rows[begin : begin + tokens].clone()
            begin += tokens
            locked = data.lock_ref > 0
            (self.component_protected_size_ if locked else self.component_evictable_size_)[
                FULL
            ] += tokens
            node.arrival = self.next_transfer
            self.kv_events.record_store(node, medium=StorageMedium.GPU)
        lock: IncLockRefResult = self.inc_lock_ref(missing[-1].id)
        for node in missing:
            self._update_evictable_leaf_sets(node)
        return lock

    def finish_load_back(self, anchor_node_id: int) -> None:
        super().finish_load_back(anchor_node_id)
        # What it brought is locked, so it is still above the anchor, however it was split.
        node = self.node_by_id(anchor_node_id)
        arrived = node.arrival
        while node is not None:
            if node.arrival <= arrived:
                node.arrival = 0
            node = node.parent

    def arrival(self, node: Any) -> int:
        """Return the latest transfer that brings a node or one above it; 0 if all are there."""
        latest = 0
        while node is not None:
            latest = max(latest, node.arrival)
            node = node.parent
        return latest

    def evict_device_leaf(self, node_id: int, is_write_back: bool) -> Any:
        """As SGLang's; in one step where the host has a copy, as nearly all do."""
        node = self.node_by_id(node_id)
        data = node.component_data[FULL]
        if data.host_value is None:
            return super().evict_device_leaf(node_id, is_write_back)
        assert self._is_device_leaf(node), f"node {node_id} is not a leaf on the device"
        result = EvictDeviceLeafResult()
        freed = self.components_by_type[FULL].reclaimable_value_len(node)
        result.tracker[FULL] = freed
        result.device_frees[FULL].append(data.value)
        self.component_evictable_size_[FULL] -= freed
        data.value = None
        self._update_evictable_leaf_sets(node)
        self._update_evictable_leaf_sets(node.parent)
        self.kv_events.record_remove(node, medium=StorageMedium.GPU)
        if self.watcher is not None:
            self.watcher.evicted(node.owners)
        return result

    def _evict_component_and_detach_lru(self, node: Any, comp: Any, *args: Any, **kw: Any) -> Any:
        leaves_device = EvictLayer.DEVICE in kw["target"] and not node.evicted
        result = super()._evict_component_and_detach_lru(node, comp, *args, **kw)
        if self.watcher is not None and comp.component_type is FULL:
            (self.watcher.evicted if leaves_device else self.watcher.touched)(node.owners)
        return result
