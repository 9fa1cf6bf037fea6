"""Hints from the learners: what they would have said while the trace went by."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from scalesim.policies.distance.learned import Ahead
from scalesim.policies.planning import Rows
from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.hints import Hints

ROWS = 4_000_000
"""Most hints to keep; for longer traces the learners are asked less often than every request."""


class Watcher(Protocol):
    """A learner, or the committee of learners."""

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""

    def ahead(self) -> Ahead:
        """Return the expected wait of every agent in requests."""


def learned_hints(trace: Trace, learner: Watcher) -> Hints:
    """Return what `learner` predicts after each request, or after each few of them."""
    requests, agents = trace.agent.astype(np.int64), len(trace.names)
    interval = -(-len(requests) * agents // ROWS)
    asked_at = np.arange(0, len(requests), interval) + interval - 1
    due = np.empty((len(asked_at), agents))
    for row, last in enumerate(asked_at):
        learner.observe(requests[last + 1 - interval : last + 1])
        due[row] = last + learner.ahead()
    return Hints(
        np.repeat(asked_at, agents),
        np.tile(np.arange(agents, dtype=np.int32), len(asked_at)),
        due.ravel(),
    )
