"""Leaves of a tree in the order in which they are given up: one order kept, not rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any

LOOKS = 16
"""Leaves found nearer than they were that one step puts back. The farthest of so many is taken
then: what moves the whole order at once, as the first distances do, costs no eviction more than a
tenth of a millisecond."""

_MOVED_AT_A_PUSH = 4
"""Entries looked at for each new one while those of leaves that are gone are swept."""

Priority = tuple[float, float]
"""The least goes first: minus the distance of the nearest owner, then the time of the last use."""

_Entry = tuple[float, float, int, Any]
"""A priority, the leaf's id and the leaf."""


class OrderedLeaves(set[Any]):
    """A set of leaves that knows which goes first.

    An entry is never behind its leaf's place: a leaf that was used, or whose owners came nearer, is
    found out when its turn comes; one that became farther must be reported, with `farther`.

    Args:
        priority: Of a leaf, as it is now.
    """

    def __init__(self, priority: Callable[[Any], Priority]) -> None:
        super().__init__()
        self._priority = priority
        self._heap: list[_Entry] = []
        self._old: list[_Entry] = []
        self._queued: dict[int, _Entry] = {}

    def add(self, leaf: Any) -> None:
        """Add a leaf; it keeps the place it had, if it never became farther since."""
        if leaf not in self:
            super().add(leaf)
            if leaf.id not in self._queued:
                self._queue(leaf, self._priority(leaf))

    def farther(self, leaf: Any) -> None:
        """Note that a node goes earlier than it did, whether it is a leaf now or later."""
        if leaf in self:
            self._queue(leaf, self._priority(leaf))
        else:
            self._queued.pop(leaf.id, None)

    @contextmanager
    def in_order(self) -> Iterator[Iterator[Any]]:
        """Iterate over leaves, first to go first, while they are taken out and others come in.

        Each is met once; those still in the set afterwards are as they were.
        """
        met: list[Any] = []

        def leaves() -> Iterator[Any]:
            while (leaf := self._next()) is not None:
                met.append(leaf)
                yield leaf

        try:
            yield leaves()
        finally:
            for leaf in met:
                if leaf in self and leaf.id not in self._queued:
                    self._queue(leaf, self._priority(leaf))

    def _next(self) -> Any:
        """Return the leaf that goes first, and forget its place; None where there is none."""
        first: _Entry | None = None
        looks = 0
        while looks < LOOKS and (entry := self._pop()) is not None:
            number, leaf = entry[2], entry[3]
            if self._queued.get(number) is not entry:
                continue  # it was queued again since
            if leaf not in self:
                del self._queued[number]
                continue
            now = self._priority(leaf)
            if now <= entry[:2]:
                first = entry
                break
            looks += 1
            entry = self._queue(leaf, now)
            if first is None or entry < first:
                first = entry
        if first is None:
            return None
        del self._queued[first[2]]
        return first[3]

    def _queue(self, leaf: Any, now: Priority) -> _Entry:
        entry = (*now, leaf.id, leaf)
        self._queued[leaf.id] = entry
        heappush(self._heap, entry)
        if self._old:
            self._sweep()
        elif len(self._heap) > 2 * len(self) + LOOKS:
            self._heap, self._old = [], self._heap
        return entry

    def _sweep(self) -> None:
        """Move some of the old entries over, unless they are void."""
        for _ in range(min(_MOVED_AT_A_PUSH, len(self._old))):
            entry = self._old.pop()  # the last one: what is left is a heap still
            if self._queued.get(entry[2]) is not entry:
                continue
            if entry[3] in self:
                heappush(self._heap, entry)
            else:
                del self._queued[entry[2]]

    def _pop(self) -> _Entry | None:
        if self._old and (not self._heap or self._old[0] < self._heap[0]):
            return heappop(self._old)
        return heappop(self._heap) if self._heap else None
