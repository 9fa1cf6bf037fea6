"""What the controller counts over its life."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Moves, Verb

_KEPT = 1024  # plans the percentiles are taken over


@dataclass(slots=True)
class Counters:
    """Totals since the controller started, and the times of its last plans.

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
    _plan_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_KEPT))

    def planned(self, seconds: float, moves: tuple[Moves, ...]) -> None:
        """Count one plan."""
        self._plan_s[self.plans % _KEPT] = seconds
        self.plans += 1
        for batch in moves:
            for verb, count in zip(*np.unique(batch.verbs, return_counts=True), strict=True):
                self.directives[Verb(verb).name.lower()] += int(count)

    def plan_s(self) -> dict[str, float]:
        """Return seconds a plan took: median and 99th percentile of the last thousand."""
        last = self._plan_s[: max(1, min(self.plans, _KEPT))]
        p50, p99 = np.percentile(last, [50, 99])
        return {"p50": float(p50), "p99": float(p99)}

    def totals(self) -> dict[str, int]:
        """Return every total but directives, by name."""
        return {
            name: value for name in self.__slots__ if isinstance(value := getattr(self, name), int)
        }
