"""First-order transition: what followed the last times this agent asked will follow again."""

from __future__ import annotations

import numpy as np

from scalesim.policies.distance.learned.learner import Ahead, History
from scalesim.policies.planning import Rows


class Transition:
    """Averages the requests that came after recent occurrences of the agent that has just asked.

    A request k later counts `fade**k`; an agent's sum v is read back as the wait log(v)/log(fade).
    This is the discounted visiting time of a first-order chain (Dayan, Improving generalization
    for temporal difference learning: the successor representation, 1993), taken from samples
    rather than from a matrix: memory grows with agents, not with pairs.

    Args:
        agents: How many.
        samples: Occurrences remembered for each agent.
        window: Requests looked at after each occurrence.
        fade: Weight lost per request.
    """

    def __init__(
        self, agents: int, samples: int = 24, window: int = 60, fade: float = 0.93
    ) -> None:
        self._history = History(agents)
        self._occurred = np.full((agents, samples), -1, np.int64)
        self._written = np.zeros(agents, np.int64)
        self._ring = np.full(1 << max(12, int(agents * samples).bit_length()), -1, np.int64)
        self._window = np.arange(window)
        self._weights = np.tile(fade ** (1.0 + self._window), samples)
        self._fade = fade
        self._current = -1

    def observe(self, agents: Rows) -> None:
        """Note requests, in order."""
        position = self._history.count + np.arange(len(agents))
        self._ring[position % len(self._ring)] = agents
        self._occurred[agents, self._written[agents] % self._occurred.shape[1]] = position
        self._written[agents] += 1
        self._history.observe(agents)
        if len(agents):
            self._current = int(agents[-1])

    def ahead(self) -> Ahead:
        """Return the wait read from the samples; recency orders agents that never followed."""
        elapsed = self._history.elapsed()
        beyond = len(self._window) + np.minimum(elapsed, 1e11)
        if self._current < 0:
            return beyond
        occurred = self._occurred[self._current]
        position = occurred[:, None] + 1 + self._window
        still_kept = (occurred >= 0) & (occurred > self._history.count - len(self._ring))
        valid = (position < self._history.count) & still_kept[:, None]
        followers = np.where(valid, self._ring[position % len(self._ring)], len(elapsed))
        visits = np.bincount(followers.ravel(), self._weights, len(elapsed) + 1)[:-1]
        share = visits / max(int(still_kept.sum()), 1)
        share /= max(float(share.max(initial=0.0)) / self._fade, 1.0)  # the nearest is 1 ahead
        with np.errstate(divide="ignore"):
            wait = np.log(share) / np.log(self._fade)
        return np.where(share > 0, np.minimum(wait, beyond), beyond)
