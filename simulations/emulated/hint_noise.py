"""Hints that are wrong: what a simulation foresees does not always come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WRONG_STEPS = 8
"""A wrong next use is said to be in one to so many steps."""


class HintNoise:
    """Makes a share of what is reported wrong; who acts in this step is always known.

    Args:
        share: Of hints, drawn one by one.
        agents: How many there are.
        seed: Of the draws.
    """

    def __init__(self, share: float, agents: int, seed: int) -> None:
        self._share = share
        self._agents = agents
        self._seed = seed

    def foreseen(self, step: int, later: int, rows: NDArray[Any]) -> NDArray[Any]:
        """Return who is said in a step to act so many steps later: any others for some of them."""
        if not self._share or not later:
            return rows
        rng = np.random.default_rng((self._seed, step, later))
        wrong = rng.random(len(rows)) < self._share
        return np.where(wrong, rng.integers(0, self._agents, len(rows)), rows)

    def next_use(self, step: int, row: int, at: float) -> float:
        """Return in which step an agent, which has just been answered, is said to act next."""
        if not self._share:
            return at
        rng = np.random.default_rng((self._seed, step, row, WRONG_STEPS))
        if rng.random() >= self._share:
            return at
        return float(step + rng.integers(1, WRONG_STEPS + 1))
