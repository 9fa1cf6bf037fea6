"""PBKV's idea as a peer: who asks in each of the next steps, predicted from what came before."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

LAGS = 4
"""Steps that are predicted."""

FADE = 0.5
"""What a request one step later counts."""


class PredictedInvocations:
    """Reuse of each agent's state over the next steps, as probabilities that its requests fade in.

    A stand-in for PBKV (arXiv 2605.06472), nothing being told: what it is said to do is predict the
    invocations of several steps from earlier workflows and from the one under way, keep state by
    the reuse that follows, and fetch only what is likely. Here the predictions are frequencies: how
    often an agent asked so many steps after each of those who ask now did, the likeliest of them
    counting, drawn towards how often it asks at all. It is not their code, and not their learned
    graph network; it knows neither prompts nor which workflow a request is of.

    Args:
        agents: How many.
    """

    def __init__(self, agents: int) -> None:
        self._followed = np.zeros((LAGS, agents, agents))
        self._seen = np.zeros((LAGS, agents))
        self._asks = np.zeros(agents)
        self._steps = 0
        self._step: int | None = None
        self._past: deque[NDArray[np.int64]] = deque(maxlen=LAGS)
        self._now: list[int] = []

    def asked(self, step: int, row: int) -> None:
        """Note a request."""
        if step != self._step:
            self._close()
            self._step = step
        self._now.append(row)

    def distances(self) -> NDArray[np.float64]:
        """Return float64[agents]: a request for sure in `d` steps would be worth as much."""
        if not self._now:
            return np.full(len(self._asks), float(LAGS + 1))
        now = np.unique(self._now)
        usual = self._asks / max(self._steps, 1)
        reuse = np.zeros(len(usual))
        for lag in range(LAGS):
            followed, seen = self._followed[lag, now], self._seen[lag, now]
            chance = ((followed + usual) / (seen[:, None] + 1.0)).max(axis=0)
            reuse += FADE ** (lag + 1) * chance
        least = FADE ** (LAGS + 1)
        distances: NDArray[np.float64] = np.log(np.maximum(reuse, least)) / np.log(FADE)
        return np.maximum(distances, 0.0)

    def _close(self) -> None:
        """Count the step that ends."""
        if not self._now:
            return
        now = np.unique(self._now)
        for lag, before in enumerate(reversed(self._past)):
            self._followed[lag][np.ix_(before, now)] += 1.0
            self._seen[lag, before] += 1.0
        self._asks[now] += 1.0
        self._steps += 1
        self._past.append(now)
        self._now = []
