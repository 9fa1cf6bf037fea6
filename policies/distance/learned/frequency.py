"""Frequency: who asks often is near, for activity without any rhythm."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.learned.learner import NEVER_SEEN, Ahead
from scalesim.policies.planning import Rows


class Frequency:
    """Expected wait = 1 / an agent's share of requests, right for independent random requests.

    Counts fade with a half life, so that shares follow the simulation.

    Args:
        agents: How many.
        half_life: Requests after which a count weighs half; per agent, so that larger
            populations remember longer.
    """

    def __init__(self, agents: int, half_life: float = 20.0) -> None:
        self._count = np.zeros(agents)
        self._decay = 0.5 ** (1.0 / (half_life * max(agents, 1)))

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        self._count *= self._decay ** len(agents)
        np.add.at(self._count, agents, 1.0)

    def ahead(self) -> Ahead:
        """Return the expected gap of each agent."""
        total = max(float(self._count.sum()), 1.0)
        return total / np.maximum(self._count, total / NEVER_SEEN)
