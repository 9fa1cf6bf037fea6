"""What became of the moves of one kind, as `TransferStats` reports it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, KeysView
from contextlib import contextmanager
from typing import Any

from scalesim.deployments.engine.payloads.meter import Meter
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.vocabulary import COUNTED, NEAR, TransferStats


class MoveCounters:
    """Counts moves and evictions, and remembers what was moved ahead of its use.

    Args:
        kind: Payload kind.

    Attributes:
        loads: Copies from host memory to the device.
        reads: Reads from storage.
    """

    def __init__(self, kind: str) -> None:
        self.loads, self.reads = Meter(), Meter()
        self._kind = kind
        self._ahead: dict[Hashable, int] = {}
        self._is_planned = False
        self._counts: dict[str, Any] = dict.fromkeys(COUNTED, 0)

    @property
    def ahead(self) -> KeysView[Hashable]:
        """What was moved ahead and neither used nor lost since."""
        return self._ahead.keys()

    def refuse(self) -> MoveOutcome:
        """Count a directive that cannot be carried out."""
        self._counts["refused"] += 1
        return MoveOutcome.REFUSED

    def issue(self, item: Hashable, size: int) -> None:
        """Count a move of `size` bytes made ahead of a use of `item`."""
        self._ahead[item] = self._ahead.get(item, 0) + size
        self.count("issued", size)

    def use(self, item: Hashable, outcome: str = "used") -> None:
        """Count what was moved ahead of a use that came now; a no-op where nothing was."""
        size = self._ahead.pop(item, None)
        if size is not None:
            self.count(outcome, size)

    def waste(self, item: Hashable) -> None:
        """Count what was moved ahead and is lost before any use; a no-op where nothing was."""
        self.use(item, "wasted")

    def forget(self) -> None:
        """All that was moved ahead is gone, and was not lost by any move."""
        self._ahead.clear()

    def evicted(self, distance: float, *, planned: bool = False) -> None:
        """Count something that left the device: by plan, also within `planned`, or by pressure.

        Args:
            distance: Steps to its next use.
            planned: Whether a directive ordered it.
        """
        if planned or self._is_planned:
            self._counts["evicted_by_plan"] += 1
            return
        self._counts["evicted_by_pressure"] += 1
        self._counts["evicted_near"] += distance <= NEAR

    @contextmanager
    def planned(self) -> Iterator[None]:
        """Count evictions as ordered by a directive."""
        self._is_planned = True
        try:
            yield
        finally:
            self._is_planned = False

    def count(self, what: str, size: int) -> None:
        """Count one of `what` and its bytes."""
        self._counts[what] += 1
        self._counts[f"{what}_bytes"] += size

    def stats(self, **measured: Any) -> TransferStats:
        """Return the counters, and what else was measured."""
        metered = {
            "loaded_bytes": self.loads.carried_bytes,
            "loaded_s": self.loads.busy_s,
            "staged_bytes": self.reads.carried_bytes,
            "staged_s": self.reads.busy_s,
        }
        return TransferStats(self._kind, **(self._counts | metered | measured))
