"""Cyclic position: programs loop over their agents, so the order of the first round returns."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.learned.learner import NEVER_SEEN, Ahead
from scalesim.policies.planning import Rows


class Cyclic:
    """Places agents on a circle in the order of their first requests.

    The wait is the way around the circle from the agent that has just asked, plus, for agents
    that skip rounds, a share of the rounds they are likely to skip.

    Args:
        agents: How many.
        weight: Share of a new round in the running chance that an agent takes part.
        skip_weight: Part of a skipped round that counts.
    """

    def __init__(self, agents: int, weight: float = 0.05, skip_weight: float = 0.1) -> None:
        self._place = np.full(agents, -1)
        self._placed = 0
        self._current = 0
        self._round = 0
        self._chance = np.full(agents, 0.5)
        self._last_round = np.zeros(agents, np.int64)
        self._fade = 1.0 - weight
        self._skip_weight = skip_weight

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        fresh = agents[self._place[agents] < 0]
        if len(fresh):
            unique, first = np.unique(fresh, return_index=True)
            newcomers = unique[np.argsort(first)]
            self._place[newcomers] = self._placed + np.arange(len(newcomers))
            self._placed += len(newcomers)
        places = self._place[agents]
        rounds = self._round + np.cumsum(np.diff(places, prepend=self._current) < 0)
        skipped = rounds - self._last_round[agents]
        took_part = self._chance[agents] * self._fade**skipped + (1.0 - self._fade)
        self._chance[agents] = np.where(skipped > 0, took_part, self._chance[agents])
        self._last_round[agents] = rounds
        if len(agents):
            self._current, self._round = int(places[-1]), int(rounds[-1])

    def ahead(self) -> Ahead:
        """Return the way around the circle to each agent, at least 1."""
        size = max(self._placed, 1)
        way = (self._place - self._current - 1) % size + 1
        chance = self._chance * self._fade ** (self._round - self._last_round)
        skipping = self._skip_weight * size * (1.0 / np.maximum(chance, 1e-6) - 1.0)
        return np.where(self._place >= 0, way + skipping, NEVER_SEEN)
