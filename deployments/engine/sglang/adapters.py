"""SGLang's LoRA slots: `payloads.slots.AdapterSlots` over its LoRA manager."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf
from typing import Any

from sglang.srt.lora.eviction_policy import LRUEvictionPolicy

from deployments.engine.payloads.shared import Use
from deployments.engine.sglang.requests import agent_of, requests


class FarthestAdapter(LRUEvictionPolicy):  # type: ignore[misc]
    """Least recently used among the farthest; queued requests' adapters before nobody's only."""

    def __init__(self, slots: LoRASlots) -> None:
        super().__init__()
        self._slots = slots

    def select_victim(self, candidates: set[str | None]) -> str | None:
        waiting = {adapter for _, _, adapter in self._slots.calls()}
        free = candidates - waiting or candidates
        distance = {a: self._slots.distance(a) for a in free if a is not None}
        farthest = max(distance.values(), default=inf)
        victim: str | None = super().select_victim(
            {adapter for adapter, value in distance.items() if value == farthest} or free
        )
        return victim


class LoRASlots:
    """Adapters of one scheduler.

    Args:
        scheduler: Its LoRA manager exists.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._manager = scheduler.tp_worker.model_runner.lora_manager
        self._pool = self._manager.memory_pool
        self.distance: Callable[[str], float] = lambda adapter: inf
        self.slots: int = self._pool.max_loras_per_batch - 1  # one serves the bare model
        self.host_slots: int = scheduler.server_args.max_loaded_loras
        buffers = (*self._pool.A_buffer.values(), *self._pool.B_buffer.values())
        self.slot_bytes = sum(t[0].nbytes for tensors in buffers for t in tensors)
        policy = FarthestAdapter(self)
        for adapter in self.resident():
            policy.mark_used(adapter)
        self._pool.eviction_policy = policy

    def free(self) -> int:
        return self.slots - len(self.resident())

    def loaded(self) -> Collection[str]:
        loaded: Collection[str] = self._manager.loras.keys()
        return loaded

    def resident(self) -> Collection[str]:
        return [adapter for adapter in self._pool.uid_to_buffer_id if adapter is not None]

    def calls(self) -> Collection[Use]:
        return [
            Use(request.rid, hint.key, request.lora_id)
            for request in requests(self._scheduler)
            if (hint := agent_of(request)) is not None and request.lora_id is not None
        ]

    def enter(self, adapter: str) -> None:
        self._manager.fetch_new_loras({adapter}, set())

    def leave(self, adapter: str) -> None:
        slot = self._pool.remove_lora(adapter)
        if slot is not None:
            self._manager._notify_lora_slots_updated({slot})
