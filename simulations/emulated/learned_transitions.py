"""CacheSage's idea as a peer: who asks after whom, learned as a chain of first order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.distance.learned.transition import Transition

SURE = 0.2
"""Least share of the uncertainty about the next agent that knowing the last one takes away."""

_FAR = 1e6


class LearnedTransitions:
    """Waits read from a chain of first order; recency where the chain says too little.

    A stand-in for CacheSage (arXiv 2605.27744), later CacheScout (2608.14624), nothing being told:
    what it is said to do is count which agent follows which, protect state by how near its agent
    is in that graph, warm the likely next ones between steps, and fall back to recency where the
    chain's entropy is not much lower than without it. Here `Transition` of `policies` stands for
    the chain, and what is warmed is an agent's whole private prefix, by a copy from host memory
    instead of a prefill. It is not their code.

    Args:
        agents: How many.
    """

    def __init__(self, agents: int) -> None:
        self._chain = Transition(agents)
        self._follows = np.zeros((agents, agents))
        self._last: int | None = None
        self._requests = self._steps = 0
        self._step: int | None = None

    def asked(self, step: int, row: int) -> None:
        """Note a request."""
        if self._last is not None:
            self._follows[self._last, row] += 1.0
        self._last = row
        self._chain.observe(np.array([row]))
        self._requests += 1
        self._steps += step != self._step
        self._step = step

    def distances(self) -> NDArray[np.float64]:
        """Return float64[agents], steps; all as far where the chain is not sure."""
        if self.certainty() < SURE:
            return np.full(len(self._follows), _FAR)
        in_step = self._requests / max(self._steps, 1)
        return np.minimum(self._chain.ahead() / in_step, _FAR)

    def certainty(self) -> float:
        """Return what share of the next agent's entropy goes once the last one is known.

        Corrected for how few samples there are (Miller, Note on the bias of information estimates,
        1955): otherwise whoever was seen once is followed by one agent for sure.
        """
        samples = self._follows.sum(axis=1)
        if not samples.any():
            return 0.0
        known = sum(
            count * _entropy(row)
            for row, count in zip(self._follows, samples.tolist(), strict=True)
            if count
        ) / float(samples.sum())
        unknown = _entropy(self._follows.sum(axis=0))
        return 1.0 - known / unknown if unknown > 0 else 1.0


def _entropy(counts: NDArray[np.float64]) -> float:
    seen = counts[counts > 0]
    shares = seen / seen.sum()
    return float(-(shares * np.log(shares)).sum() + (len(seen) - 1) / (2 * seen.sum()))
