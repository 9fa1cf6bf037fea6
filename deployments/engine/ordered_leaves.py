"""Leaves of a tree in the order in which they are given up: selected by the hundred, at need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.deployments.engine.eviction_order import DistanceOrder

SELECTED = 128
"""Leaves put in order together: a tenth of a millisecond among thousands, a few among 100,000."""

LOOKS = 16
"""Leaves found nearer than they were that one step puts back. The farthest of so many is taken
then, so that no eviction takes long."""

Priority = tuple[float, float]
"""The least goes first: minus the distance of the nearest owner, then the time of the last use."""

_Entry = tuple[float, float, int]
"""A priority and the leaf's id: to put leaves in order, none of them is looked at."""

_NONE: Priority = (-inf, -inf)
_ALL: Priority = (inf, inf)


class OrderedLeaves(set[Any]):
    """A set of leaves that knows which goes first.

    Arrays hold whose each is and when it was used. From them the first ones are selected and put in
    order, once those selected before are gone or many distances have changed; what comes to the set
    meanwhile is compared with the last of them.

    What is noted of a leaf is never behind its place: one that was used, or has owners who are
    nearer, is found out when its turn comes; one that became farther must be reported, with
    `farther`.

    Args:
        priority: Returns the priority of a leaf, as it is now.
        order: Distances of owners.
    """

    def __init__(self, priority: Callable[[Any], Priority], order: DistanceOrder) -> None:
        super().__init__()
        self._priority, self._order = priority, order
        self._slots: dict[int, int] = {}
        self._leaves: list[Any] = []
        self._hold(np.zeros(64, np.int64), np.zeros(64, np.int64), np.zeros(64))
        self._out: set[int] = set()
        self._forget()

    def add(self, leaf: Any) -> None:
        """Add a leaf; it keeps the place it had, if it never became farther since."""
        if leaf in self:
            return
        super().add(leaf)
        slot = len(self._leaves)
        if slot == len(self._owners):
            ids, owners = np.resize(self._ids, 2 * slot), np.resize(self._owners, 2 * slot)
            self._hold(ids, owners, np.resize(self._used, 2 * slot))
        number = leaf.id
        self._slots[number] = slot
        self._leaves.append(leaf)
        self._id_at[slot] = number
        self._note(slot, leaf)
        if number not in self._queued and number not in self._out:
            self._queue(number, self._priority(leaf))

    def discard(self, leaf: Any) -> None:
        """Take a leaf out, if it is there; the last one gets its slot."""
        if leaf not in self:
            return
        super().discard(leaf)
        slot, last = self._slots.pop(leaf.id), self._leaves.pop()
        if last is not leaf:
            self._leaves[slot], self._slots[last.id] = last, slot
            end = len(self._leaves)
            self._id_at[slot], self._owner_at[slot] = self._id_at[end], self._owner_at[end]
            self._used_at[slot] = self._used_at[end]

    def farther(self, node: Any) -> None:
        """Note that a node goes earlier than it did, whether it is a leaf now or later."""
        slot = self._slots.get(node.id)
        if slot is None:
            self._queued.pop(node.id, None)
        else:
            self._note(slot, node)
            self._queue(node.id, self._priority(node))

    def nearer(self, node: Any) -> None:
        """Note that a node goes later, where it is a leaf: it would be found out one by one."""
        slot = self._slots.get(node.id)
        if slot is not None:
            self._note(slot, node)

    @contextmanager
    def in_order(self) -> Iterator[Iterator[Any]]:
        """Iterate over leaves, first to go first, while they are taken out and others come in.

        Each is met once; those still in the set afterwards are as they were.
        """
        met: list[Any] = []

        def leaves() -> Iterator[Any]:
            while (leaf := self._next()) is not None:
                met.append(leaf)
                self._out.add(leaf.id)
                yield leaf

        try:
            yield leaves()
        finally:
            self._out.difference_update(leaf.id for leaf in met)
            for leaf in met:
                if leaf in self and leaf.id not in self._queued:
                    self._queue(leaf.id, self._priority(leaf))

    def _next(self) -> Any:
        """Return the leaf that goes first, and forget its place; None where there is none."""
        if self._version != self._order.version:
            self._forget()
        first: _Entry | None = None
        looks = 0
        while looks < LOOKS:
            entry = self._pop()
            if entry is None:
                if self._last == _ALL:
                    break
                self._select()
                continue
            number = entry[2]
            if self._queued.get(number) is not entry:
                continue  # it was queued again since
            del self._queued[number]
            slot = self._slots.get(number)
            if slot is None:
                continue  # not a leaf any more
            leaf = self._leaves[slot]
            now = self._priority(leaf)
            if now <= entry[:2]:
                return leaf
            looks += 1
            self._note(slot, leaf)
            self._queue(number, now)
            nearer = (*now, number)
            if first is None or nearer < first:
                first = nearer
        if first is None:
            return None
        self._queued.pop(first[2], None)
        return self._leaves[self._slots[first[2]]]

    def _queue(self, number: int, now: Priority) -> None:
        """Give a leaf its place among those selected; one behind them waits for the next time."""
        if now <= self._last:
            if len(self._late) >= 4 * SELECTED:
                self._forget()
                return
            entry = (*now, number)
            self._queued[number] = entry
            heappush(self._late, entry)

    def _pop(self) -> _Entry | None:
        first, late = self._first, self._late
        if late and (not first or late[0] < first[-1]):
            return heappop(late)
        return first.pop() if first else None

    def _forget(self) -> None:
        """Nothing is selected."""
        self._version = self._order.version
        self._first: list[_Entry] = []
        self._late: list[_Entry] = []
        self._queued: dict[int, _Entry] = {}
        self._last = _NONE

    def _select(self) -> None:
        """Put the first of all leaves in order, but for those that somebody is given now."""
        self._forget()
        end = len(self._leaves)
        away = -self._order.values[self._owners[:end]]
        used = self._used[:end]
        out = [self._slots[number] for number in self._out if number in self._slots]
        away[out] = inf  # no distance is -inf
        wanted = min(SELECTED, end - len(out))
        chosen = _first(away, used, wanted)[::-1]
        columns = (column[chosen].tolist() for column in (away, used, self._ids))
        self._first = list(zip(*columns, strict=True))
        self._queued = {entry[2]: entry for entry in self._first}
        self._last = self._first[0][:2] if wanted < end - len(out) else _ALL

    def _note(self, slot: int, leaf: Any) -> None:
        self._owner_at[slot] = self._order.note(leaf.owners)
        self._used_at[slot] = leaf.last_access_time

    def _hold(
        self, ids: NDArray[np.int64], owners: NDArray[np.int64], used: NDArray[np.float64]
    ) -> None:
        self._ids, self._owners, self._used = ids, owners, used
        self._id_at: memoryview[int] = memoryview(ids)  # type: ignore[arg-type]
        self._owner_at: memoryview[int] = memoryview(owners)  # type: ignore[arg-type]
        self._used_at: memoryview[float] = memoryview(used)  # type: ignore[arg-type]


def _first(away: NDArray[np.float64], used: NDArray[np.float64], wanted: int) -> NDArray[np.intp]:
    """Return where the `wanted` smallest of `away` are, then of `used`, in this order."""
    if not wanted:
        return np.empty(0, np.intp)
    edge = np.partition(away, wanted - 1)[wanted - 1]
    chosen, ties = np.flatnonzero(away < edge), np.flatnonzero(away == edge)
    missing = wanted - len(chosen)
    if missing < len(ties):
        ties = ties[np.argpartition(used[ties], missing - 1)[:missing]]
    chosen = np.concatenate([chosen, ties])
    return chosen[np.lexsort((used[chosen], away[chosen]))]
