"""What the controller counts over its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Moves, Verb


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
    plan_times: Recent = field(default_factory=Recent)
    directive_times: Recent = field(default_factory=Recent)

    def planned(self, seconds: float, moves: tuple[Moves, ...]) -> None:
        """Count one plan."""
        self.plan_times.add(seconds)
        self.plans += 1
        for batch in moves:
            for verb, count in zip(*np.unique(batch.verbs, return_counts=True), strict=True):
                self.directives[Verb(verb).name.lower()] += int(count)

    def status(self) -> dict[str, Any]:
        """Return totals, moves by verb, and percentiles of the times."""
        totals = {name: n for name in self.__slots__ if isinstance(n := getattr(self, name), int)}
        return {
            "counters": totals,
            "directives": dict(self.directives),
            "plan_s": self.plan_times.percentiles(),
            "directive_s": self.directive_times.percentiles(),
        }
