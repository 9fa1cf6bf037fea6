"""The interface of learners: requests go in, the waits of all agents come out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows

Ahead = NDArray[np.float64]
"""float64[n], requests (of anybody) until an agent's own next one."""


class Learner(Protocol):
    """Predicts from the order of past requests alone.

    The clock is the count of requests: it runs inside a step too, and needs no reports.
    """

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        ...

    def ahead(self) -> Ahead:
        """Return the expected wait of every agent; finite, larger for those never seen."""
        ...


NEVER_SEEN = 1e12
"""Wait of an agent that has not asked yet: farther than any guess, and still a number."""


class History:
    """When each agent asked last, shared by the learners below.

    Args:
        agents: How many.
    """

    def __init__(self, agents: int) -> None:
        self.last = np.full(agents, -NEVER_SEEN)
        self.count = 0

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        self.last[agents] = self.count + np.arange(1, len(agents) + 1)
        self.count += len(agents)

    def elapsed(self) -> Ahead:
        """Return requests since each agent's last one; 0 for the one that has just asked."""
        elapsed: Ahead = self.count - self.last
        return elapsed
