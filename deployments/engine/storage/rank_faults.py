"""What the ranks of an engine say of their storage, in memory that they share.

Only the first rank speaks to the replica, and each has files of its own, which may fail alone.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

_LINE_BYTES = 256
_END = b"\0"


class RankFaults:
    """A line of each rank of an engine on one machine; reading them costs no call of the system.

    Who reads while a line is written may get part of it: it is a text for people.

    Args:
        file: The same for all ranks, of this engine alone; made by whichever comes first.
        rank: The rank whose line `report` writes.
        ranks: How many there are.
    """

    def __init__(self, file: Path, rank: int, ranks: int) -> None:
        self._rank, self._ranks = rank, ranks
        with file.open("a+b") as lines:
            # Not a hole: writing to one on a disk that is full ends the process.
            os.posix_fallocate(lines.fileno(), 0, ranks * _LINE_BYTES)
            self._lines = mmap.mmap(lines.fileno(), ranks * _LINE_BYTES)

    def report(self, fault: str) -> None:
        """Say what this rank's storage failed with; empty while it works."""
        line = fault.encode()[: _LINE_BYTES - 1].ljust(_LINE_BYTES, _END)
        start = self._rank * _LINE_BYTES
        self._lines[start : start + _LINE_BYTES] = line

    def first(self) -> str:
        """Return the fault of the first rank that has one, and which it is; else empty."""
        for rank in range(self._ranks):
            start = rank * _LINE_BYTES
            line = self._lines[start : start + _LINE_BYTES].partition(_END)[0]
            if line:
                reason = line.decode(errors="replace")
                return f"rank {rank}: {reason}" if self._ranks > 1 else reason
        return ""
