"""SGLang's prefix tree, whose nodes know their owners and leave farthest first."""

from __future__ import annotations

from typing import Any

from sglang.srt.mem_cache.evict_policy import EvictionStrategy
from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
from sglang.srt.mem_cache.unified_cache.unified_tree_core import EvictLayer, UnifiedTreeCore

from deployments.engine.order import DistanceOrder
from deployments.engine.payloads.tree import Watcher

BACKEND = "scalesim"
FULL = ComponentType.FULL


class FarthestFirst(EvictionStrategy):  # type: ignore[misc]
    """Least recently used among the farthest."""

    def __init__(self, order: DistanceOrder) -> None:
        self._nearest = order.nearest

    def get_priority(self, node: Any) -> tuple[float, float]:
        return -self._nearest(node.owners), node.last_access_time


class DistanceTreeCore(UnifiedTreeCore):  # type: ignore[misc]
    """SGLang's Python tree core whose nodes know their owners and leave farthest first."""

    watcher: Watcher | None = None

    def __init__(self, params: Any, components: Any) -> None:
        super().__init__(params, components)
        self.order = DistanceOrder()
        self.eviction_strategy = FarthestFirst(self.order)

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
        if self.watcher is not None and comp.component_type is FULL:
            (self.watcher.evicted if leaves_device else self.watcher.touched)(node.owners)
        return result
