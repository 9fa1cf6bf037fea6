"""The interface of estimators: what is known of n agents goes in, n distances come out."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from scalesim.vocabulary import Distances


class Estimator(Protocol):
    """Turns what is known about agents into their invocation distances."""

    def distances(self, now: float) -> Distances:
        """Return float32[n], steps from `now` to each agent's next request; inf for unforeseen.

        Args:
            now: Current simulation step; fractions are allowed.
        """
        ...


class Nearest:
    """Several estimators as one: the nearest of their answers counts.

    An agent is needed as soon as any of its reasons to act comes up, so invocation distances
    (ScaleSim, arXiv 2601.21473) compose by minimum.

    Args:
        estimators: At least one, over the same agents.
    """

    def __init__(self, *estimators: Estimator) -> None:
        self.estimators = estimators

    def distances(self, now: float) -> Distances:
        """Return the elementwise minimum; a NaN counts as unforeseen."""
        nearest = self.estimators[0].distances(now)
        for estimator in self.estimators[1:]:
            nearest = np.fmin(nearest, estimator.distances(now))
        return np.nan_to_num(nearest, nan=np.inf, posinf=np.inf)
