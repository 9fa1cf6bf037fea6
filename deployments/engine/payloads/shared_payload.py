"""State that requests name and several agents may share: what adapters and models have in common.

An item is as near as the nearest of the agents that use it, and its bytes count in equal parts for
all of them; it is in use for those of them that have a request. Whose it is, is learned from
requests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, KeysView, Mapping
from math import inf
from types import MappingProxyType
from typing import Any

from scalesim.deployments.engine.eviction_order import DistanceOrder, PushedDistances, PushedKeys
from scalesim.deployments.engine.payloads.move_counters import MoveCounters
from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange
from scalesim.deployments.engine.payloads.residency_accounting import (
    ChangedAgents,
    HeldBytes,
    residency,
)
from scalesim.vocabulary import Residency, Tier, TransferStats

_NOTHING = HeldBytes(0, 0, 0, 0)


class SharedPayload(ABC):
    """Keeps account of such items of one kind; a subclass moves them.

    Args:
        size_bytes: Bytes of every item.
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
        self._in_use: Counter[str] = Counter()
        self._users: Counter[int] = Counter()
        self._changed = ChangedAgents()
        self._counters = MoveCounters(self.kind)

    @abstractmethod
    def _need_changes(self) -> NeedChange:
        """Return what requests came and went since the last call, the same on every rank."""

    @abstractmethod
    def _moved(self) -> Iterable[str]:
        """Return the items that came to a tier or left one since the last call."""

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
    def demote(self, key: int, tier: Tier) -> MoveOutcome:
        """See `payloads.interfaces.Payload`."""

    @property
    def sharing(self) -> Mapping[str, Collection[int]]:
        """Items that agents need, each with those agents; not to be changed."""
        return MappingProxyType(self._agents)

    @property
    def ahead(self) -> KeysView[Hashable]:
        """Items that were moved ahead of a use that has not come yet."""
        return self._counters.ahead

    def push(self, keys: PushedKeys, distances: PushedDistances) -> None:
        """Take over distances of agents."""
        self._order.push(keys, distances)

    def distance(self, key: int) -> float:
        """Return an agent's distance."""
        return self._order.distance(key)

    def drop(self, key: int) -> MoveOutcome:
        """Forget whose the item is; one that was this agent's alone goes to the coldest tier."""
        if self.demote(key, self._coldest) is MoveOutcome.REFUSED:
            return MoveOutcome.REFUSED
        self._unlearn(key)
        return MoveOutcome.DONE

    def pin(self, key: int) -> None:
        """Make an agent's item the last to give way."""
        self._order.pin(key)

    def unpin(self, key: int) -> None:
        """Undo `pin`."""
        self._order.unpin(key)

    def settle(self) -> bool:
        """Learn from the requests there are, and notice what came and left."""
        self._take(self._need_changes())
        for item in self._moved():
            self._changed.update(self._agents.get(item, ()))
            if item not in self._kept():
                self._counters.waste(item)
        return False

    def _take(self, change: NeedChange) -> None:
        """Take over who came and who went."""
        for _, key, item in change.came:
            self._in_use[item] += 1
            if key is not None:
                self._used(key, item)
                self._users[key] += 1
                self._changed.add(key)
        for _, key, item in change.gone:
            _discount(self._in_use, item)
            if key is not None:
                _discount(self._users, key)
                self._changed.add(key)

    def changed(self) -> Residency | None:
        """Return rows of agents whose item changed; at most a share of them in one call."""
        if not self._changed:
            return None
        keys = self._changed.take()
        held = [self._held_bytes(self._item.get(key)) for key in keys]
        return residency(self.kind, keys, held, [key in self._users for key in keys])

    def touch_all(self) -> None:
        """Report every agent with an item again."""
        self._changed.add_all(self._item)

    def transfer(self) -> TransferStats:
        """Return the counters; `late` are requests that came before their item was in place."""
        return self._counters.stats()

    def _issue(self, item: str) -> None:
        """Note that an item is moved ahead of its use."""
        if item not in self._counters.ahead:
            self._counters.issue(item, self._size_bytes)

    def _distance(self, item: str) -> float:
        agents = self._agents.get(item)
        return self._order.nearest(agents) if agents else inf

    def _held_bytes(self, item: str | None) -> HeldBytes:
        if item is None:
            return _NOTHING
        on_device, in_host = item in self._on_device(), item in self._in_host()
        if not (self._stored or in_host):
            return _NOTHING
        share = self._size_bytes // _parts(len(self._agents[item]))
        return HeldBytes(share * on_device, share * in_host, share * self._stored, share)

    def _used(self, key: int, item: str) -> None:
        if self._item.get(key) != item:
            self._unlearn(key)
            self._item[key] = item
            self._agents.setdefault(item, set()).add(key)
            self._changed.add(key)
            self._resized(item, -1)
        self._counters.use(item)
        if item not in self._on_device():
            self._counters.count("late", self._size_bytes)

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
            self._changed.update(agents)


def _discount(counts: Counter[Any], of: Any) -> None:
    counts[of] -= 1
    if not counts[of]:
        del counts[of]


def _parts(agents: int) -> int:
    """Return their number rounded up by an eighth at most: one more seldom changes others'."""
    step = 1 << max(0, agents.bit_length() - 4)
    return -(-agents // step) * step
