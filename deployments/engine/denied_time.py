"""How long processes could not go on because others had the processors."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")

_NS = 1e-9


class DeniedTime:
    """Counts from its making on, over all threads of some processes.

    Args:
        pids: The processes.
        proc: Where Linux tells of them; where there is nothing, no time counts as denied.
    """

    def __init__(self, pids: Collection[int], proc: Path = PROC) -> None:
        self._pids = pids
        self._proc = proc
        self._before = dict(self._delays())

    def seconds(self) -> float:
        """Return how long the thread that was denied most could not run."""
        grown = (delay - self._before.get(task, 0) for task, delay in self._delays())
        return max(grown, default=0) * _NS

    def _delays(self) -> Iterator[tuple[Path, int]]:
        """Yield the nanoseconds that each thread has waited to run: the second of three numbers."""
        for pid in self._pids:
            for task in self._proc.glob(f"{pid}/task/*"):
                with suppress(OSError, ValueError, IndexError):  # it has ended
                    yield task, int((task / "schedstat").read_text().split()[1])
