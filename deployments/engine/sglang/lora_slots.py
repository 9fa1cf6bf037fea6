"""SGLang's LoRA slots: `payloads.adapter_slots.AdapterSlots` over its LoRA manager.

A slot is read by forward passes that are still under way, and written by copies that are. Who
writes one waits for its readers and writers before, who reads one for its writer: on the device,
never on the scheduler's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import inf
from typing import Any

from sglang.srt.lora.eviction_policy import LRUEvictionPolicy

from scalesim.deployments.engine.models.shared_memory import Ranks
from scalesim.deployments.engine.payloads.adapter_slots import Arrival
from scalesim.deployments.engine.payloads.moves import NeedChange, RequestNeed
from scalesim.deployments.engine.sglang.requests_in_use import LiveRequests, key_of, running
from scalesim.deployments.engine.sglang.timed_copy import TimedCopy


class FarthestAdapter(LRUEvictionPolicy):  # type: ignore[misc]
    """Least recently used among the farthest that no request needs, of all only where all are."""

    def __init__(self, slots: LoRASlots) -> None:
        super().__init__()
        self._slots = slots

    def select_victim(self, candidates: set[str | None]) -> str | None:
        free = candidates.difference(self._slots.needed()) or candidates
        distance = {a: self._slots.distance(a) for a in free if a is not None}
        farthest = max(distance.values(), default=inf)
        victim: str | None = super().select_victim(
            {adapter for adapter, value in distance.items() if value == farthest} or free
        )
        return victim


class _Places(dict[Any, Any]):
    """SGLang's table of where adapters are, which notes those that come and go.

    Args:
        places: What it has so far.
        moved: The notes, each once.
    """

    def __init__(self, places: Mapping[Any, Any], moved: dict[str, None]) -> None:
        super().__init__(places)
        self._moved = moved

    def __setitem__(self, adapter: Any, place: Any) -> None:
        self._note(adapter)
        super().__setitem__(adapter, place)

    def __delitem__(self, adapter: Any) -> None:
        self._note(adapter)
        super().__delitem__(adapter)

    def pop(self, adapter: Any, *default: Any) -> Any:
        self._note(adapter)
        return super().pop(adapter, *default)

    def _note(self, adapter: str | None) -> None:
        if adapter is not None:
            self._moved[adapter] = None


class LoRASlots:
    """Adapters of one scheduler.

    Args:
        scheduler: Its LoRA manager exists.
        requests: The scheduler's, as they come and go.
        ranks: All of its engine.
    """

    def __init__(self, scheduler: Any, requests: LiveRequests, ranks: Ranks) -> None:
        self._scheduler = scheduler
        self._manager = scheduler.tp_worker.model_runner.lora_manager
        self._pool = self._manager.memory_pool
        self._moved = dict.fromkeys(self._manager.loras)
        self._manager.loras = _Places(self._manager.loras, self._moved)
        self._pool.uid_to_buffer_id = _Places(self._pool.uid_to_buffer_id, self._moved)
        self._copies: dict[str, TimedCopy] = {}
        self._ranks = ranks
        self._needed = requests.follow(lambda request: request.lora_id)
        self._need_changes = requests.changes(_use)
        self.distance: Callable[[str], float] = lambda adapter: inf
        self.slots: int = self._pool.max_loras_per_batch - 1  # one serves the bare model
        self.host_slots: int = scheduler.server_args.max_loaded_loras
        buffers = (*self._pool.A_buffer.values(), *self._pool.B_buffer.values())
        self.slot_bytes = sum(t[0].nbytes for tensors in buffers for t in tensors)
        policy = FarthestAdapter(self)
        for adapter in self.resident():
            policy.mark_used(adapter)
        self._pool.eviction_policy = policy

    def attach(self) -> None:
        """Put an order into all writes of slots, SGLang's own included; call before any."""
        self._device = self._scheduler.device_module
        self._load_stream = self._device.Stream()
        self._fetch = self._manager.fetch_new_loras
        self._manager.fetch_new_loras = self._fetch_in_order
        self._remove = self._pool.remove_lora
        self._pool.remove_lora = self._remove_in_order
        self._after_all(self._scheduler.forward_stream)  # SGLang has filled the bare model's slot

    def free(self) -> int:
        return max(0, self.slots - len(self.resident()))

    def loaded(self) -> Collection[str]:
        loaded: Collection[str] = self._manager.loras.keys()
        return loaded

    def resident(self) -> Collection[str]:
        return [adapter for adapter in self._pool.uid_to_buffer_id if adapter is not None]

    def moved(self) -> Collection[str]:
        moved = list(self._moved)
        self._moved.clear()
        return moved

    def needed(self) -> Collection[str]:
        """Return the ids of those that queued and running requests need."""
        return self._needed.needs

    def need_changes(self) -> NeedChange:
        return NeedChange(*self._need_changes.take())

    def enter(self, adapter: str) -> None:
        stream, copy = self._load_stream, TimedCopy(self._device)
        self._after_all(stream)
        with self._device.stream(stream), copy.on(stream):
            self._fetch({adapter}, set())
        self._copies[adapter] = copy
        self._pending[adapter] = copy.end

    def arrived(self) -> Collection[Arrival]:
        """Return copies that ended since the last call, on every rank.

        What is moved next hangs on it, and ranks must move the same in the same pass.
        """
        copies = self._copies.items()
        ended = [name for name, copy in copies if self._ranks.agreed(copy.arrived)]
        for adapter in ended:
            self._pending.pop(adapter, None)
        return [Arrival(adapter, self._copies.pop(adapter).seconds) for adapter in ended]

    def leave(self, adapter: str) -> None:
        self._after_all(self._load_stream)
        self._pending.pop(adapter, None)
        with self._device.stream(self._load_stream):
            slot = self._remove(adapter)
        if slot is not None:
            self._manager._notify_lora_slots_updated({slot})

    @property
    def _pending(self) -> dict[str, Any]:
        """Ends of copies under way; SGLang waits for them before it unloads an adapter."""
        pending: dict[str, Any] = self._manager.pending_lora_load_events
        return pending

    def _after_all(self, stream: Any) -> None:
        """Make a stream wait for all passes and writes begun so far."""
        current = self._device.current_stream()
        for other in (self._scheduler.forward_stream, self._load_stream, current):
            if other != stream:
                stream.wait_stream(other)

    def _fetch_in_order(
        self, new: set[str | None], in_use: Collection[str | None] = frozenset()
    ) -> None:
        """SGLang needs adapters in slots: in place of none that a running batch uses.

        Called where the pass that needs them is put on its stream.
        """
        needed = new.union(in_use)
        kept = needed.union(request.lora_id for request in running(self._scheduler))
        if len(kept) > self._pool.max_loras_per_batch:
            kept = needed
        stream = self._device.current_stream()
        if kept.difference(self._pool.uid_to_buffer_id):  # some slot will be written
            self._after_all(stream)
        for adapter, end in self._pending.items():
            if adapter in kept:
                stream.wait_event(end)
        self._fetch(kept, set())

    def _remove_in_order(self, adapter: str) -> int | None:
        """SGLang unloads an adapter: its slot is cleared, and its host copy freed after this."""
        stream = self._device.current_stream()
        self._after_all(stream)
        no_copy_from_it = self._device.Event()
        no_copy_from_it.record(stream)
        no_copy_from_it.synchronize()
        slot: int | None = self._remove(adapter)
        return slot


def _use(request: Any) -> RequestNeed | None:
    adapter = request.lora_id
    return None if adapter is None else RequestNeed(request.rid, key_of(request), adapter)
