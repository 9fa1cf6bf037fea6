"""The order in which an engine gives up memory: farthest owner first, then least recently used."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

PINNED = -1.0
"""Distance of a pinned payload: nearer than any reported distance."""


class DistanceOrder:
    """Distances last pushed to this engine, by payload key.

    A key without a distance is infinitely far: among those, and among nodes without an owner,
    recency decides.
    """

    def __init__(self) -> None:
        self._distances: dict[int, float] = {}
        self._pinned: set[int] = set()

    def push(self, keys: Iterable[int], distances: Iterable[float]) -> list[int]:
        """Take over distances, an infinite one forgets its key; return those that are farther."""
        known, sent = self._distances, dict(zip(keys, distances, strict=True))
        before = known.get
        farther = [key for key, distance in sent.items() if distance > before(key, inf)]
        known.update(sent)
        if inf in sent.values():
            for key, distance in sent.items():
                if distance == inf:
                    known.pop(key, None)
        return farther

    def pin(self, key: int) -> None:
        """Make `key` the last to be evicted."""
        self._pinned.add(key)

    def unpin(self, key: int) -> None:
        """Undo `pin`; unknown keys are ignored."""
        self._pinned.discard(key)

    def distance(self, key: int) -> float:
        """Return the distance of one key."""
        return PINNED if key in self._pinned else self._distances.get(key, inf)

    def nearest(self, owners: Collection[int]) -> float:
        """Return the distance of the nearest owner; inf for state without an owner."""
        if not owners:
            return inf
        if len(owners) == 1:
            (key,) = owners
            return self.distance(key)
        return min(map(self.distance, owners))

    def clear(self) -> None:
        """Forget everything."""
        self._distances.clear()
        self._pinned.clear()
