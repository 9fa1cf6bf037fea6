"""Recency: who asked longest ago is farthest. The order of LRU, and the floor under the others."""

from __future__ import annotations

from scalesim.policies.distance.learned.learner import Ahead, History
from scalesim.policies.planning import Rows


class Recency:
    """Distance = time since the agent's last request: LRU as a distance.

    Args:
        agents: How many.
    """

    def __init__(self, agents: int) -> None:
        self._history = History(agents)

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        self._history.observe(agents)

    def ahead(self) -> Ahead:
        """Return the requests since each agent's last one."""
        return self._history.elapsed()
