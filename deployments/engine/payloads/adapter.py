"""Payload `adapter`: the LoRA adapter an agent's requests name, kept in a slot by distance."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import numpy as np

from deployments.engine.order import DistanceOrder
from deployments.engine.payloads.base import Engine, Outcome
from deployments.engine.payloads.slots import AdapterSlots
from scalesim.vocabulary import ADAPTER, Budgets, Flow, Residency, Tier


def build(engine: Engine) -> AdapterPayload | None:
    """Return the payload of an engine's adapter slots; None where it serves no adapters."""
    return AdapterPayload(engine.slots) if engine.slots is not None else None


class AdapterPayload:
    """Moves adapters into slots ahead of their agents' requests, the farthest out.

    An adapter is as near as the nearest of the agents that use it, and its bytes count in equal
    parts for all of them. Whose it is, is learned from requests.

    Args:
        slots: The engine's.
    """

    kind = ADAPTER

    def __init__(self, slots: AdapterSlots) -> None:
        self._slots = slots
        self._order = DistanceOrder()
        self._adapter: dict[int, str] = {}
        self._agents: dict[str, set[int]] = {}
        self._ahead: set[str] = set()
        self._seen: frozenset[str] = frozenset()
        self._in_use: dict[str, set[int]] = {}
        self._resident: set[str] = set()
        self._changed: set[int] = set()
        self._counts = dict.fromkeys(Flow._fields[1:], 0)

    def budgets(self) -> Budgets:
        """Return the bytes of all slots, on the device and in host memory."""
        slots = self._slots
        return Budgets(slots.slots * slots.slot_bytes, slots.host_slots * slots.slot_bytes, 0)

    def push(self, keys: Iterable[int], distances: Iterable[float]) -> None:
        """Take over distances of agents, and with them the order of evictions."""
        self._order.push(keys, distances)
        self._slots.rank({adapter: self._distance(adapter) for adapter in self._agents})

    def prefetch(self, key: int, tier: Tier) -> Outcome:
        """Copy an agent's adapter to a slot, in place of one that is farther and not needed."""
        adapter = self._adapter.get(key)
        if adapter is None or adapter not in self._slots.loaded():
            return self._refuse()
        if tier is not Tier.DEVICE or adapter in self._slots.resident():
            return Outcome.DONE
        if not self._slots.free() and not self._make_room(self._distance(adapter)):
            return self._refuse()
        self._slots.enter(adapter)
        self._ahead.add(adapter)
        self._counts["issued"] += 1
        self._counts["issued_bytes"] += self._slots.slot_bytes
        return Outcome.DONE

    def demote(self, key: int, tier: Tier) -> Outcome:
        """Free the slot of an agent's adapter unless another agent uses it; storage is no tier."""
        adapter = self._adapter.get(key)
        if adapter is None or adapter in self._in_use or tier is not Tier.HOST:
            return self._refuse()
        if self._agents[adapter] == {key} and adapter in self._slots.resident():
            self._slots.leave(adapter)
            self._counts["evicted_by_plan"] += 1
        return Outcome.DONE

    def drop(self, key: int) -> Outcome:
        """Forget whose the adapter is; one that was this agent's alone leaves its slot."""
        if self.demote(key, Tier.HOST) is Outcome.REFUSED:
            return Outcome.REFUSED
        self._unlearn(key)
        return Outcome.DONE

    def pin(self, key: int) -> None:
        """Make an agent's adapter the last to give way."""
        self._order.pin(key)
        self.push((), ())

    def unpin(self, key: int) -> None:
        """Undo `pin`."""
        self._order.unpin(key)
        self.push((), ())

    def settle(self) -> bool:
        """Learn from the requests there are, and notice what left its slot."""
        calls = self._slots.calls()
        in_use: dict[str, set[int]] = {}
        for request, key, adapter in calls:
            in_use.setdefault(adapter, set()).add(key)
            if request not in self._seen:
                self._used(key, adapter)
        self._seen = frozenset(request for request, _, _ in calls)
        resident = set(self._slots.resident())
        for adapter in self._ahead - resident:
            self._ahead.discard(adapter)
            self._counts["wasted"] += 1
            self._counts["wasted_bytes"] += self._slots.slot_bytes
        for adapter in (resident ^ self._resident) | (in_use.keys() ^ self._in_use.keys()):
            self._changed |= self._agents.get(adapter, set())
        self._resident, self._in_use = resident, in_use
        return False

    def changed(self) -> Residency | None:
        """Return rows of agents whose adapter changed."""
        if not self._changed:
            return None
        keys, self._changed = sorted(self._changed), set()
        adapters = [self._adapter.get(key, "") for key in keys]
        loaded = self._slots.loaded()
        sizes = np.array([self._share(adapter) * (adapter in loaded) for adapter in adapters])
        return Residency(
            kind=self.kind,
            keys=np.array(keys, np.int64),
            device_bytes=sizes * np.array([a in self._resident for a in adapters]),
            host_bytes=sizes,
            storage_bytes=np.zeros(len(keys), np.int64),
            total_bytes=sizes,
            in_use=np.array([a in self._in_use for a in adapters], np.bool_),
        )

    def touch_all(self) -> None:
        """Report every agent with an adapter again."""
        self._changed.update(self._adapter)

    def flow(self) -> Flow:
        """Return the counters; `late` are requests that came before their adapter was in a slot."""
        return Flow(self.kind, **self._counts)

    def _used(self, key: int, adapter: str) -> None:
        if self._adapter.get(key) != adapter:
            self._unlearn(key)
            self._adapter[key] = adapter
            self._agents.setdefault(adapter, set()).add(key)
            self._changed |= self._agents[adapter]
        if adapter in self._ahead:
            self._ahead.discard(adapter)
            self._counts["used"] += 1
            self._counts["used_bytes"] += self._slots.slot_bytes
        elif adapter not in self._slots.resident():
            self._counts["late"] += 1
            self._counts["late_bytes"] += self._slots.slot_bytes

    def _unlearn(self, key: int) -> None:
        adapter = self._adapter.pop(key, None)
        self._changed.add(key)
        if adapter is not None:
            self._changed |= self._agents[adapter]
            self._agents[adapter].discard(key)
            if not self._agents[adapter]:
                del self._agents[adapter]

    def _make_room(self, nearer_than: float) -> bool:
        free = [adapter for adapter in self._slots.resident() if adapter not in self._in_use]
        farthest = max(free, key=self._distance, default=None)
        if farthest is None or self._distance(farthest) <= nearer_than:
            return False
        self._slots.leave(farthest)
        self._counts["evicted_by_pressure"] += 1
        return True

    def _share(self, adapter: str) -> int:
        return self._slots.slot_bytes // max(1, len(self._agents.get(adapter, ())))

    def _distance(self, adapter: str) -> float:
        agents = self._agents.get(adapter)
        return self._order.nearest(agents) if agents else inf

    def _refuse(self) -> Outcome:
        self._counts["refused"] += 1
        return Outcome.REFUSED
