"""Inter-arrival: an agent asks again after its usual gap."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.learned.learner import NEVER_SEEN, Ahead, History
from scalesim.policies.planning import Rows


class InterArrival:
    """The gap between an agent's requests, as a running mean, counted from its last one.

    An agent that stays away for `patience` gaps has changed its ways and falls back to recency.

    Args:
        agents: How many.
        weight: Share of a new gap in the running mean.
        patience: Gaps to wait for.
    """

    def __init__(self, agents: int, weight: float = 0.1, patience: float = 4.0) -> None:
        self._history = History(agents)
        self._gap = np.full(agents, np.nan)
        self._weight = weight
        self._patience = patience

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        before = self._history.last[agents]
        self._history.observe(agents)
        seen = before >= 0
        known, gap = agents[seen], self._history.last[agents[seen]] - before[seen]
        mean = np.where(np.isnan(self._gap[known]), gap, self._gap[known])
        self._gap[known] = mean + self._weight * (gap - mean)

    def ahead(self) -> Ahead:
        """Return what is left of each agent's gap."""
        elapsed = self._history.elapsed()
        gap = np.nan_to_num(self._gap, nan=0.0)
        waiting = elapsed < self._patience * gap
        rest: Ahead = np.where(waiting, np.maximum(gap - elapsed, 0.0), elapsed)
        return np.minimum(rest, NEVER_SEEN)
