"""Agents that take turns: a fixed order, again and again, or shuffled every step."""

from __future__ import annotations

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances


class Order:
    """Agents that act in a known order within a step: the position is a fraction of the step.

    Args:
        agents: How many.
        repeats: The same order holds in the next step (round robin); else it is unforeseen.
    """

    def __init__(self, agents: int, repeats: bool = False) -> None:
        self._place = np.full(agents, np.inf)
        self._repeats = repeats
        self._length = 1
        self._next = 0

    def begin(self, order: Rows) -> None:
        """Set who acts in this step, first to last."""
        self._place[:] = np.inf
        self._place[order] = np.arange(len(order))
        self._length = max(len(order), 1)
        self._next = 0

    def ran(self, count: int = 1) -> None:
        """Note that the next `count` agents of the order have run."""
        self._next += count

    def distances(self, now: float) -> Distances:
        """Return steps to each turn; `now` is not needed."""
        ahead = self._place - self._next
        again = ahead % self._length if self._repeats else np.inf
        with np.errstate(invalid="ignore"):
            turn = np.where(ahead >= 0, ahead, again) / self._length
        return np.where(np.isfinite(self._place), turn, np.inf).astype(np.float32)


class ShuffledStep:
    """Agents that all act once a step in an unknown order: those that have not run yet come first.

    With k of n left to run, one of them waits (k - 1) / 2 turns on average, and one that has run
    waits for the rest of this step and half of the next.

    Args:
        agents: How many.
    """

    def __init__(self, agents: int) -> None:
        self._waiting = np.ones(agents, np.bool_)

    def begin(self) -> None:
        """Begin a step: everyone is to run."""
        self._waiting[:] = True

    def ran(self, agents: Rows) -> None:
        """Note who has run in this step."""
        self._waiting[agents] = False

    def distances(self, now: float) -> Distances:
        """Return expected steps to each turn; `now` is not needed."""
        agents = max(len(self._waiting), 1)
        left = int(self._waiting.sum())
        this_step = max(left - 1, 0) / 2
        next_step = left + (agents - 1) / 2
        return (np.where(self._waiting, this_step, next_step) / agents).astype(np.float32)
