"""Hints that are wrong by a known amount, on their way to the controller."""

from __future__ import annotations

import math

import numpy as np

from scalesim.transports.transport import Report
from scalesim.vocabulary import Distances


class Noise:
    """Multiplies distances, counted from the end of the current step, by a lognormal factor.

    Args:
        sigma: Spread of the factor's logarithm; inf deals a report's distances out at random.
        seed: Of the draws.
    """

    def __init__(self, sigma: float = 0.0, seed: int = 0) -> None:
        self._sigma = sigma
        self._rng = np.random.default_rng(seed)

    def __call__(self, report: Report) -> Report:
        """Return the report as it arrives."""
        return report._replace(distances=self._distorted(report.distances))

    def _distorted(self, distances: Distances) -> Distances:
        if self._sigma == math.inf:
            return self._rng.permutation(distances)
        factor = self._rng.lognormal(0.0, self._sigma, len(distances))
        return np.maximum((distances + 1.0) * factor - 1.0, 0.0).astype(np.float32)
