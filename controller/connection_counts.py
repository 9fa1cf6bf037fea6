"""How many connections there are, in one process or in several that share a table."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

PROCESSES = 64
"""Processes that may share a table: those of a stack, and those that drain while others take their
places."""

_HALF = 4096
COLUMNS = 2 + 2 * _HALF
"""Columns of a table: all connections, 1 for a process that is there, connections of addresses by
two hashes."""

TABLE_BYTES = 4 * COLUMNS * PROCESSES


class ConnectionCounts:
    """Counts connections, all together and by client address.

    An address is counted under two hashes and the lower count holds, so that two addresses are
    taken for one only where both hashes say so.

    Args:
        table: int32[COLUMNS, processes], of which only one row a process is written to; one of
            its own where None.
        row: This process's.
    """

    def __init__(self, table: NDArray[np.int32] | None = None, row: int = 0) -> None:
        self._all = np.zeros((COLUMNS, 1), np.int32) if table is None else table
        self._own = self._all[:, row]
        self._own[1] = 1

    def add(self, address: str) -> None:
        """Count a connection."""
        for column in _columns(address):
            self._own[column] += 1

    def remove(self, address: str) -> None:
        """Stop counting a connection."""
        for column in _columns(address):
            self._own[column] -= 1

    @property
    def total(self) -> int:
        """Return how many there are in all processes."""
        return int(self._all[0].sum())

    def over_its_share(self) -> bool:
        """Return whether this process has more than one connection over an equal share."""
        return bool(self._own[0] - 1 > self.total / self._all[1].sum())

    def of(self, address: str) -> int:
        """Return how many of them are of one client address."""
        return min(int(self._all[column].sum()) for column in _columns(address)[1:])


def table_in(memory: memoryview | bytearray) -> NDArray[np.int32]:
    """Return `TABLE_BYTES` of shared memory as a table of counts."""
    return np.frombuffer(memory, np.int32).reshape(COLUMNS, PROCESSES)


def _columns(address: str) -> tuple[int, int, int]:
    digest = crc32(address.encode())
    return 0, 2 + digest % _HALF, 2 + _HALF + (digest >> 16) % _HALF
