"""What a transport carries: distances and life-cycle changes, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from scalesim.vocabulary import Distances, ReportAck

MAX_ROWS = 10_000
"""Rows a report: 80 kB of keys stay below the 100 kB that Ray passes inline."""


class Report(NamedTuple):
    """Distances of some agents at one step.

    Attributes:
        epoch: Step the distances are relative to.
        ids: At most `MAX_ROWS` agent ids.
        distances: float32[n], steps; inf where no next call is foreseen.
    """

    epoch: int
    ids: list[str]
    distances: Distances


class Transport(Protocol):
    """A way to the controller. Calls block, at most for the client's timeout.

    Every method raises `UnavailableError` where trying again may help, and another
    `ScaleSimError` where it cannot.
    """

    def report(self, simulation: str, report: Report) -> ReportAck:
        """Hand distances over.

        Raises:
            StaleEpochError: The simulation is already at a later step.
        """
        ...

    def lifecycle(
        self, simulation: str, pin: Sequence[str], unpin: Sequence[str], done: Sequence[str]
    ) -> None:
        """Pin or unpin agents, or say that they will not call again."""
        ...

    def end(self, simulation: str) -> None:
        """Say that the simulation ended: all it reported is forgotten, its steps may start over."""
        ...

    def epoch(self, simulation: str) -> int:
        """Return the newest step the stack knows of the simulation; 0 where it knows none."""
        ...

    def close(self) -> None:
        """Release connections; the transport is not used again."""
        ...
