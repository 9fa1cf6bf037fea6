"""A hash index from int64 keys to dense rows, thousands of keys a call."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Keys

Rows = NDArray[np.int64]
Slots = NDArray[np.int64]

MISSING = -1
_EMPTY = MISSING
_REMOVED = -2
_MIN_BITS = 10


class KeyIndex:
    """Open addressing with linear probing over one numpy array of (key, row) pairs.

    Rows are dense from 0 and reused after a removal, so that the columns of a table are plain
    arrays of `capacity` rows. The hash multiplies by a random odd number, drawn per index:
    no client can choose keys that collide.
    """

    def __init__(self) -> None:
        self._multiplier = np.uint64(secrets.randbits(64) | 1)
        self._free: Rows = np.empty(0, np.int64)
        self._capacity = 0
        self._allocate(_MIN_BITS)

    def __len__(self) -> int:
        return self._capacity - self._free.size

    @property
    def capacity(self) -> int:
        """Rows handed out so far, those set free since included."""
        return self._capacity

    @property
    def nbytes(self) -> int:
        """Bytes held by the index."""
        return int(self._pairs.nbytes + self._free.nbytes)

    def find(self, keys: Keys) -> Rows:
        """Return int64[n] rows of `keys`, -1 where a key is missing."""
        slots = self._hash(keys)
        pairs = self._pairs.take(slots, axis=0)
        rows = pairs[:, 1].copy()
        missed = np.flatnonzero((pairs[:, 0] != keys) | (rows < 0))
        if missed.size:
            rows[missed] = self._pairs[self._locate(keys[missed], slots[missed]), 1]
        return rows

    def add(self, keys: Keys) -> Rows:
        """Return int64[n] rows given, in this order, to distinct keys that are missing."""
        if (self._used + keys.size) * 3 > self._mask:
            self._rebuild(len(self) + keys.size)
        kept = max(self._free.size - keys.size, 0)
        reused = self._free[kept:]
        end = self._capacity + keys.size - reused.size
        rows = np.concatenate([reused, np.arange(self._capacity, end, dtype=np.int64)])
        self._free, self._capacity = self._free[:kept], end
        self._place(keys, rows)
        return rows

    def remove(self, keys: Keys) -> Rows:
        """Take `keys` out and return the int64 rows set free; unknown keys are passed over."""
        keys = np.unique(keys)
        slots = self._locate(keys, self._hash(keys))
        slots = slots[self._pairs[slots, 1] != _EMPTY]
        rows: Rows = self._pairs[slots, 1]
        self._pairs[slots, 1] = _REMOVED
        self._free = np.concatenate([self._free, rows])
        return rows

    def _locate(self, keys: Keys, slots: Slots) -> Slots:
        """Return each key's slot at or behind `slots`, else the empty one that ends its probe."""
        pending = np.arange(keys.size)
        while pending.size:
            pairs = self._pairs.take(slots[pending], axis=0)
            rows = pairs[:, 1]
            other = (pairs[:, 0] != keys[pending]) | (rows == _REMOVED)
            pending = pending[other & (rows != _EMPTY)]
            slots[pending] = (slots[pending] + 1) & self._mask
        return slots

    def _place(self, keys: Keys, rows: Rows) -> None:
        """Write distinct, absent keys into empty slots; of rivals for one the last wins."""
        self._used += keys.size
        slots = self._hash(keys)
        while keys.size:
            empty = self._pairs[slots, 1] == _EMPTY
            self._pairs[slots[empty], 1] = rows[empty]
            won = empty & (self._pairs[slots, 1] == rows)
            self._pairs[slots[won], 0] = keys[won]
            keys, rows, slots = keys[~won], rows[~won], (slots[~won] + 1) & self._mask

    def _rebuild(self, live: int) -> None:
        """Start over at a sixth to a third full of `live` keys, without removed slots."""
        pairs = self._pairs[self._pairs[:, 1] >= 0]
        self._allocate(max(_MIN_BITS, (live * 3).bit_length()))
        self._place(pairs[:, 0].copy(), pairs[:, 1])

    def _allocate(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._shift = np.uint64(64 - bits)
        self._pairs: NDArray[np.int64] = np.full((1 << bits, 2), _EMPTY, np.int64)
        self._used = 0

    def _hash(self, keys: Keys) -> Slots:
        hashed = keys.view(np.uint64) * self._multiplier
        hashed >>= self._shift
        return hashed.view(np.int64)
