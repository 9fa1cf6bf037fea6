"""The order in which an engine gives up memory: farthest owner first, then least recently used."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

PINNED = -1.0
"""Distance of a pinned payload: nearer than any told distance."""


class DistanceOrder:
    """Distances last pushed to this engine, by payload key.

    A key without a distance is infinitely far: among those, and among nodes nobody owns,
    recency decides.
    """

    def __init__(self) -> None:
        self._distances: dict[int, float] = {}
        self._pinned: set[int] = set()

    def push(self, keys: Iterable[int], distances: Iterable[float]) -> None:
        """Take over distances; an infinite one forgets its key."""
        for key, distance in zip(keys, distances, strict=True):
            if distance == inf:
                self._distances.pop(key, None)
            else:
                self._distances[key] = distance

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
        """Return the distance of the nearest owner; inf for nobody's state."""
        return min(map(self.distance, owners), default=inf)

    def clear(self) -> None:
        """Forget everything."""
        self._distances.clear()
        self._pinned.clear()
