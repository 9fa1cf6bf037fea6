"""State that requests name and several agents may share: what adapters and models have in common.

An item is as near as the nearest of the agents that use it, and its bytes count in equal parts for
all of them; it is in use for those of them that have a request. Whose it is, is learned from
requests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from math import inf
from typing import Any, NamedTuple

from deployments.engine.order import DistanceOrder
from deployments.engine.payloads.base import Outcome
from deployments.engine.payloads.holdings import Holding, residency, take_rows
from deployments.engine.payloads.meter import Meter
from scalesim.vocabulary import COUNTED, Flow, Residency, Tier

_NOTHING = Holding(0, 0, 0, 0)


class Use(NamedTuple):
    """A queued or running request, whose it is and what it needs.

    Attributes:
        request: Its id.
        key: Of its agent; None where it has no identity, and still what it needs is in use.
        item: What it needs.
    """

    request: str
    key: int | None
    item: str


class SharedPayload(ABC):
    """Keeps the books of one such kind; a subclass moves the items.

    Args:
        size_bytes: Of every item.
        stored: Every item has a copy in storage too.
    """

    kind: str
    _coldest: Tier
    """Where an item is kept that no agent needs any more."""

    def __init__(self, size_bytes: int, *, stored: bool) -> None:
        self._size_bytes = size_bytes
        self._stored = stored
        self._order = DistanceOrder()
        self._item: dict[int, str] = {}
        self._agents: dict[str, set[int]] = {}
        self._ahead: set[str] = set()
        self._seen: frozenset[str] = frozenset()
        self._in_use: frozenset[str] = frozenset()
        self._users: frozenset[int] = frozenset()
        self._device: frozenset[str] = frozenset()
        self._host: frozenset[str] = frozenset()
        self._changed: set[int] = set()
        self._loads, self._reads = Meter(), Meter()
        self._counts: dict[str, Any] = dict.fromkeys(COUNTED, 0)

    # ---- what a kind must answer ----

    @abstractmethod
    def _uses(self) -> Collection[Use]:
        """Return what queued and running requests need."""

    @abstractmethod
    def _on_device(self) -> Collection[str]:
        """Return the items on the device."""

    @abstractmethod
    def _in_host(self) -> Collection[str]:
        """Return the items with a copy in host memory."""

    @abstractmethod
    def _kept(self) -> Collection[str]:
        """Return the items of which a move ahead of use is not lost."""

    @abstractmethod
    def demote(self, key: int, tier: Tier) -> Outcome:
        """See `payloads.base.Payload`."""

    # ---- Payload ----

    def push(self, keys: Iterable[int], distances: Iterable[float]) -> None:
        """Take over distances of agents."""
        self._order.push(keys, distances)

    def drop(self, key: int) -> Outcome:
        """Forget whose the item is; one that was this agent's alone goes to the coldest tier."""
        if self.demote(key, self._coldest) is Outcome.REFUSED:
            return Outcome.REFUSED
        self._unlearn(key)
        return Outcome.DONE

    def pin(self, key: int) -> None:
        """Make an agent's item the last to give way."""
        self._order.pin(key)

    def unpin(self, key: int) -> None:
        """Undo `pin`."""
        self._order.unpin(key)

    def settle(self) -> bool:
        """Learn from the requests there are, and notice what came and left."""
        uses = self._uses()
        for request, key, item in uses:
            if key is not None and request not in self._seen:
                self._used(key, item)
        self._seen = frozenset(use.request for use in uses)
        device, host = frozenset(self._on_device()), frozenset(self._in_host())
        for item in self._ahead.difference(self._kept()):
            self._ahead.discard(item)
            self._count("wasted")
        for item in (device ^ self._device) | (host ^ self._host):
            self._changed |= self._agents.get(item, set())
        self._device, self._host = device, host
        users = frozenset(use.key for use in uses if use.key is not None)
        self._changed |= users ^ self._users
        self._in_use, self._users = frozenset(use.item for use in uses), users
        return False

    def changed(self) -> Residency | None:
        """Return rows of agents whose item changed, a share of them."""
        if not self._changed:
            return None
        keys = take_rows(self._changed)
        held = [self._holding(self._item.get(key)) for key in keys]
        return residency(self.kind, keys, held, [key in self._users for key in keys])

    def touch_all(self) -> None:
        """Report every agent with an item again."""
        self._changed.update(self._item)

    def flow(self) -> Flow:
        """Return the counters; `late` are requests that came before their item was in place."""
        return Flow(self.kind, **self._counts)._replace(
            loaded_bytes=self._loads.carried_bytes,
            loaded_s=self._loads.busy_s,
            staged_bytes=self._reads.carried_bytes,
            staged_s=self._reads.busy_s,
        )

    # ---- for subclasses ----

    def _issue(self, item: str) -> None:
        """Note that an item is moved ahead of its use."""
        if item not in self._ahead:
            self._ahead.add(item)
            self._count("issued")

    def _distance(self, item: str) -> float:
        agents = self._agents.get(item)
        return self._order.nearest(agents) if agents else inf

    def _refuse(self) -> Outcome:
        self._counts["refused"] += 1
        return Outcome.REFUSED

    # ---- whose is what ----

    def _holding(self, item: str | None) -> Holding:
        stored = self._stored and item is not None
        if item is None or not (stored or item in self._host):
            return _NOTHING
        share = self._size_bytes // _parts(len(self._agents[item]))
        return Holding(
            share * (item in self._device), share * (item in self._host), share * stored, share
        )

    def _used(self, key: int, item: str) -> None:
        if self._item.get(key) != item:
            self._unlearn(key)
            self._item[key] = item
            self._agents.setdefault(item, set()).add(key)
            self._changed.add(key)
            self._resized(item, -1)
        if item in self._ahead:
            self._ahead.discard(item)
            self._count("used")
        if item not in self._on_device():
            self._count("late")

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        self._counts[f"{what}_bytes"] += self._size_bytes

    def _unlearn(self, key: int) -> None:
        item = self._item.pop(key, None)
        self._changed.add(key)
        if item is not None:
            self._agents[item].discard(key)
            self._resized(item, +1)
            if not self._agents[item]:
                del self._agents[item]

    def _resized(self, item: str, before: int) -> None:
        """Report an item's agents again if their shares changed with their number."""
        agents = self._agents[item]
        if _parts(len(agents)) != _parts(len(agents) + before):
            self._changed |= agents


def _parts(agents: int) -> int:
    """Return their number rounded up by an eighth at most: one more is not news for all others."""
    step = 1 << max(0, agents.bit_length() - 4)
    return -(-agents // step) * step
