"""The order in which an engine gives up memory: farthest owner first, then least recently used."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

PINNED = -1.0
"""Distance of a pinned payload: nearer than any reported distance."""

NEEDED = -0.5
"""Distance of a payload that requests wait for, whatever was reported: nearer than one that may be
asked for in this step."""

FEW = 16
"""Distances that may change at once and be followed one by one, a tenth of a millisecond."""

NO_OWNER = 0
"""Row of what no agent owns: infinitely far."""

PushedKeys = Sequence[int] | NDArray[np.int64]
PushedDistances = Sequence[float] | NDArray[np.floating[Any]]


class DistanceOrder:
    """Distances last pushed to this engine, by payload key.

    A key without a distance is infinitely far: among those, and among nodes without an owner,
    recency decides.

    Attributes:
        values: float64, one row a key; pinned ones are `PINNED`, needed ones `NEEDED`. Replaced
            where it grows.
        version: Counts the times that more than `FEW` distances changed at once.
    """

    def __init__(self) -> None:
        self.version = 0
        self._rows: dict[int, int] = {}
        self._noted: set[int] = set()
        self._pinned: set[int] = set()
        self._needed: set[int] = set()
        self._reported: dict[int, float] = {}  # of those that are pinned or needed
        self._free: list[int] = []
        self._hold(np.full(64, inf), np.zeros(64, np.int64), np.zeros(64, np.bool_))
        self._end = NO_OWNER + 1
        self._sorted: tuple[NDArray[np.int64], NDArray[np.intp]] | None = None

    def __len__(self) -> int:
        """Return the number of keys of which something is known or noted."""
        return len(self._rows)

    def push(self, keys: PushedKeys, distances: PushedDistances) -> list[int]:
        """Take over distances; an infinite one forgets its key.

        Returns:
            Keys that are farther now. None where many changed: `version` says so.
        """
        if len(keys) <= FEW:
            few = zip(keys, distances, strict=True)
            return [int(key) for key, distance in few if self._set(int(key), float(distance))]
        sent, new = np.asarray(keys, np.int64), np.asarray(distances, np.float64)
        rows = self._rows_of(sent)
        unknown = sent[(rows == NO_OWNER) & (new < inf)].tolist()
        if unknown:
            for key in unknown:
                self._row(key)
            rows = self._rows_of(sent)
        before = self.values[rows]
        self.values[rows] = new
        self._hide_again()
        for key in sent[(self.values[rows] == inf) & (rows != NO_OWNER)].tolist():
            self._release(key)
        if np.count_nonzero(before != new) > FEW:
            self.version += 1
            return []
        farther: list[int] = sent[new > before].tolist()
        return farther

    def pin(self, key: int) -> None:
        """Make `key` the last to be evicted."""
        self._pinned.add(key)
        self._hide(key)

    def unpin(self, key: int) -> None:
        """Undo `pin`; unknown keys are ignored."""
        self._pinned.discard(key)
        self._show(key)

    def need(self, key: int) -> None:
        """Make `key` as near as can be: a request waits for it."""
        if key not in self._needed:
            self._needed.add(key)
            self._hide(key)

    def unneed(self, key: int) -> None:
        """Undo `need`; unknown keys are ignored."""
        self._needed.discard(key)
        self._show(key)

    def distance(self, key: int) -> float:
        """Return the distance of one key."""
        return self._at[self._rows.get(key, NO_OWNER)]

    def nearest(self, owners: Collection[int]) -> float:
        """Return the distance of the nearest owner; inf for state without an owner."""
        if not owners:
            return inf
        if len(owners) == 1:
            (key,) = owners
            return self._at[self._rows.get(key, NO_OWNER)]
        return min(map(self.distance, owners))

    def note(self, owners: Collection[int]) -> int:
        """Return the row in `values` of the nearest owner, which keeps it until `unnote`."""
        if not owners:
            return NO_OWNER
        if len(owners) == 1:
            (key,) = owners
        else:
            key = min(owners, key=self.distance)
        self._noted.add(key)
        row = self._rows.get(key)
        return row if row is not None else self._row(key)

    def unnote(self, key: int) -> None:
        """Give up the row that `note` returned; another key may get it."""
        self._noted.discard(key)
        self._release(key)

    def _set(self, key: int, distance: float) -> bool:
        """Take over one distance; return whether the key is farther now."""
        if key in self._reported:
            self._reported[key] = distance
            return False
        row = self._rows.get(key)
        if row is None:
            if distance < inf:
                row = self._row(key)  # which may be the first of a longer array
                self._at[row] = distance
            return False
        before: float = self._at[row]
        self._at[row] = distance
        if distance == inf:
            self._release(key)
        return distance > before

    def _hide(self, key: int) -> None:
        """Put a key that is pinned or needed in its place, in that of what is reported of it."""
        row = self._row(key)
        self._reported.setdefault(key, self._at[row])
        self._at[row] = PINNED if key in self._pinned else NEEDED

    def _show(self, key: int) -> None:
        """Put a key that may be neither any more in its place."""
        if key in self._reported:
            if key in self._pinned or key in self._needed:
                self._hide(key)
                return
            self._at[self._rows[key]] = self._reported.pop(key)
            self._release(key)

    def _hide_again(self) -> None:
        """Put keys that a message named in their place again."""
        for key in self._reported:
            row = self._rows[key]
            if self._at[row] != (PINNED if key in self._pinned else NEEDED):
                self._reported[key] = self._at[row]
                self._hide(key)

    def _row(self, key: int) -> int:
        """Return the row of a key, a new one that is infinitely far where it has none."""
        row = self._rows.get(key)
        if row is None:
            if self._free:
                row = self._free.pop()
            else:
                row, self._end = self._end, self._end + 1
                if row == len(self.values):
                    more = np.full(row, inf), np.zeros(row, np.int64), np.zeros(row, np.bool_)
                    columns = self.values, self._keys, self._taken
                    self._hold(*map(_joined, columns, more))
            self._rows[key] = row
            self._keys[row], self._taken[row], self._sorted = key, True, None
        return row

    def _rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the row of each key, `NO_OWNER` of one that has none."""
        if self._sorted is None:
            taken = np.flatnonzero(self._taken)
            order = np.argsort(self._keys[taken], kind="stable")
            self._sorted = self._keys[taken[order]], taken[order]
        known, rows = self._sorted
        if not len(known):
            return np.full(len(keys), NO_OWNER)
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[at] == keys, rows[at], NO_OWNER)

    def _release(self, key: int) -> None:
        """Forget a key of which nothing is known, and nothing noted."""
        row = self._rows.get(key)
        if row is not None and key not in self._noted and self._at[row] == inf:
            del self._rows[key]
            self._free.append(row)
            self._taken[row], self._sorted = False, None

    def _hold(
        self,
        values: NDArray[np.float64],
        keys: NDArray[np.int64],
        taken: NDArray[np.bool_],
    ) -> None:
        self.values, self._keys, self._taken = values, keys, taken
        self._at: memoryview[float] = memoryview(values)  # type: ignore[arg-type]


def _joined(some: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([some, more])
