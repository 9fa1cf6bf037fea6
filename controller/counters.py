"""What the controller counts over its life."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Distances, Moves, Verb

_USES = {"0": 0.0, "1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0, "16": 16.0, "more": 2.0**63}
"""Largest distance counted under each name; what is beyond the last was not foreseen at all."""


class Recent:
    """The last thousand of many durations."""

    def __init__(self) -> None:
        self._seconds: NDArray[np.float64] = np.zeros(1024)
        self._count = 0

    def add(self, seconds: float) -> None:
        """Take one in the place of the oldest."""
        self._seconds[self._count % self._seconds.size] = seconds
        self._count += 1

    def percentiles(self) -> dict[str, float]:
        """Return median and 99th percentile; zeros while there is none."""
        p50, p99 = np.percentile(self._seconds[: max(1, self._count)], [50, 99])
        return {"p50": float(p50), "p99": float(p99)}


@dataclass(slots=True)
class Counters:
    """Totals since the controller started, and how long its last works took.

    Attributes:
        reports: Batches of distances taken.
        updates: Distances taken.
        ignored: Distances passed over: NaN, negative, another simulation's agent, table full.
        stale_reports: Batches refused for an older epoch.
        plans: Plans made, one replica each.
        resyncs: Polls answered with a request to attach again.
        replicas_lost: Replicas whose lease ran out.
        simulations_expired: Simulations whose lease ran out.
        directives: Moves sent, by verb.
        uses: Payloads that requests came to use, by the distance told at that moment, rounded up.
        plan_times: Time of each plan.
        directive_times: Time from a plan to its replica's acknowledgement.
    """

    reports: int = 0
    updates: int = 0
    ignored: int = 0
    stale_reports: int = 0
    plans: int = 0
    resyncs: int = 0
    replicas_lost: int = 0
    simulations_expired: int = 0
    directives: dict[str, int] = field(
        default_factory=lambda: {verb.name.lower(): 0 for verb in Verb}
    )
    uses: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_USES, "none"), 0))
    plan_times: Recent = field(default_factory=Recent)
    directive_times: Recent = field(default_factory=Recent)

    def planned(self, seconds: float, moves: tuple[Moves, ...]) -> None:
        """Count one plan."""
        self.plan_times.add(seconds)
        self.plans += 1
        for batch in moves:
            for verb, count in zip(*np.unique(batch.verbs, return_counts=True), strict=True):
                self.directives[Verb(verb).name.lower()] += int(count)

    def used(self, told: Distances) -> None:
        """Count payloads that came into use, by their distances: all 0 if hints were perfect."""
        places = np.searchsorted(list(_USES.values()), told)
        counts = np.bincount(places, minlength=len(self.uses)).tolist()
        for name, count in zip(self.uses, counts, strict=True):
            self.uses[name] += count

    def totals(self) -> dict[str, int]:
        """Return every plain total, by name."""
        return {
            name: value for name in self.__slots__ if isinstance(value := getattr(self, name), int)
        }
