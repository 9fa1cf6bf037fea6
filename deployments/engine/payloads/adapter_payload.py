"""Payload `adapter`: the LoRA adapter an agent's requests name, kept in a slot by distance."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import nlargest

from scalesim.deployments.engine.payloads.adapter_slots import AdapterSlots
from scalesim.deployments.engine.payloads.interfaces import PayloadEngine
from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange
from scalesim.deployments.engine.payloads.shared_payload import SharedPayload
from scalesim.vocabulary import ADAPTER, Budgets, Tier


def build(engine: PayloadEngine) -> AdapterPayload | None:
    """Return the payload of an engine's adapter slots; None where it serves no adapters."""
    return AdapterPayload(engine.slots) if engine.slots is not None else None


class AdapterPayload(SharedPayload):
    """Moves adapters into slots ahead of their agents' requests, the farthest out.

    Args:
        slots: The engine's.
    """

    kind = ADAPTER
    _coldest = Tier.HOST

    def __init__(self, slots: AdapterSlots) -> None:
        super().__init__(slots.slot_bytes, stored=False)
        self._slots = slots
        self._copying: str | None = None
        slots.distance = self._distance

    def budgets(self) -> Budgets:
        """Return the bytes of all slots, on the device and in host memory."""
        slots = self._slots
        return Budgets(slots.slots * slots.slot_bytes, slots.host_slots * slots.slot_bytes, 0)

    def prefetch(self, key: int, tier: Tier) -> MoveOutcome:
        """Copy an agent's adapter to a slot, in place of one that is farther and not needed.

        One at a time: a request's own copy waits behind no more than that, and no pass of the
        scheduler is held up by more than the calls for it. Where there is no such slot it waits for
        one that requests leave.
        """
        adapter = self._item.get(key)
        if adapter is None or adapter not in self._slots.loaded():
            return self._counters.refuse()
        if tier is not Tier.DEVICE or adapter in self._slots.resident():
            return MoveOutcome.DONE
        if self._copying is not None:
            return MoveOutcome.BUSY
        if not self._slots.free() and not self._make_room(self._distance(adapter)):
            return MoveOutcome.BUSY if self._in_use else self._counters.refuse()
        self._slots.enter(adapter)
        self._copying = adapter
        self._issue(adapter)
        return MoveOutcome.STARTED

    def demote(self, key: int, tier: Tier) -> MoveOutcome:
        """Free the slot of an agent's adapter unless another agent uses it; refuses storage.

        What is on its way arrives first.
        """
        adapter = self._item.get(key)
        if adapter is None or adapter in self._in_use or tier is not Tier.HOST:
            return self._counters.refuse()
        if adapter == self._copying:
            return self._counters.refuse()
        if self._agents[adapter] == {key} and adapter in self._slots.resident():
            self._slots.leave(adapter)
            self._counters.evicted(self._distance(adapter), planned=True)
        return MoveOutcome.DONE

    def settle(self) -> bool:
        """Complete the copy under way; see `SharedPayload.settle`."""
        for adapter, seconds in self._slots.arrived():
            self._counters.loads.note(self._size_bytes, seconds)
            if adapter == self._copying:
                self._copying = None
        super().settle()
        return self._copying is not None

    def _need_changes(self) -> NeedChange:
        return self._slots.need_changes()

    def _moved(self) -> Iterable[str]:
        return self._slots.moved()

    def _on_device(self) -> Collection[str]:
        return self._slots.resident()

    def _in_host(self) -> Collection[str]:
        return self._slots.loaded()

    def _kept(self) -> Collection[str]:
        return self._slots.resident()

    def _make_room(self, nearer_than: float) -> bool:
        """Free a slot, and the one that requests fill beyond them if they did; all or nothing."""
        resident = self._slots.resident()
        due = len(resident) - self._slots.slots + 1
        idle = [adapter for adapter in resident if adapter not in self._in_use]
        farthest = nlargest(due, idle, key=self._distance)
        if len(farthest) < due or self._distance(farthest[-1]) <= nearer_than:
            return False
        for adapter in farthest:
            self._slots.leave(adapter)
            self._counters.evicted(self._distance(adapter))
        return True
