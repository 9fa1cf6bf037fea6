"""How far to believe a distance: expiry, confidence, and seconds against steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Distances


def expired(distances: Distances, age_steps: NDArray[np.float32], ttl_steps: float) -> Distances:
    """Return distances with those not repeated for `ttl_steps` forgotten (inf)."""
    return np.where(age_steps > ttl_steps, np.float32(np.inf), distances)


def discounted(distances: Distances, confidence: NDArray[np.float32]) -> Distances:
    """Return distances stretched by doubt.

    An event that comes true with probability p per try takes 1/p tries, so a distance is divided
    by its confidence; without any confidence it is inf.

    Args:
        distances: float32[n], steps.
        confidence: float32[n] or a scalar, 0 to 1; values outside are clipped.
    """
    certainty = np.clip(confidence, 0.0, 1.0).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        stretched = distances / certainty
    return np.where(certainty > 0, stretched, np.float32(np.inf))


class StepClock:
    """Converts seconds to steps by the step time seen so far.

    Args:
        step_s: First guess, used until a step was seen.
        weight: Share of a new step in the running mean.
    """

    def __init__(self, step_s: float = 1.0, weight: float = 0.2) -> None:
        self.step_s = step_s
        self._weight = 1.0
        self._next_weight = weight
        self._last: tuple[float, float] | None = None

    def tick(self, step: float, now_s: float) -> None:
        """Note that `step` began at `now_s`; steps or seconds going back restart the measure."""
        if self._last is not None and step > self._last[0] and now_s > self._last[1]:
            seen = (now_s - self._last[1]) / (step - self._last[0])
            self.step_s += self._weight * (seen - self.step_s)
            self._weight = self._next_weight
        self._last = (step, now_s)

    def to_steps(self, seconds: float) -> float:
        """Return how many steps fit in `seconds`."""
        return seconds / self.step_s

    def to_seconds(self, steps: float) -> float:
        """Return how long `steps` take."""
        return steps * self.step_s
