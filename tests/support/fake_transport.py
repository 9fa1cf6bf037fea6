"""A transport that notes what it is given and fails on demand."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from scalesim.errors import StaleEpochError
from scalesim.transports import Report
from scalesim.vocabulary import ReportAck


class FakeTransport:
    """Keeps distances by agent; each error in `errors` fails one call.

    `arrived` is set by the first report.
    """

    def __init__(self, *errors: Exception, epoch: int = 0) -> None:
        self.errors = list(errors)
        self.newest = epoch
        self.reports: list[Report] = []
        self.changes: list[tuple[list[str], list[str], list[str]]] = []
        self.ends = 0
        self.closed = False
        self.arrived = threading.Event()

    @property
    def distances(self) -> dict[str, float]:
        pairs = [zip(r.ids, r.distances.tolist(), strict=True) for r in self.reports]
        return {agent: distance for pair in pairs for agent, distance in pair}

    def report(self, simulation: str, report: Report) -> ReportAck:
        self._fail()
        if report.epoch < self.newest:
            raise StaleEpochError(f"step {report.epoch} is older than {self.newest}")
        self.newest = report.epoch
        self.reports.append(report)
        self.arrived.set()
        return ReportAck(report.epoch, len(report.ids), 0)

    def lifecycle(
        self, simulation: str, pin: Sequence[str], unpin: Sequence[str], done: Sequence[str]
    ) -> None:
        self._fail()
        self.changes.append((list(pin), list(unpin), list(done)))

    def end(self, simulation: str) -> None:
        self._fail()
        self.newest = 0
        self.reports.clear()
        self.ends += 1

    def epoch(self, simulation: str) -> int:
        return self.newest

    def close(self) -> None:
        self.closed = True

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
