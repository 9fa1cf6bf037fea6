"""Which model's requests an engine admits: one model's at a time, so that a swap serves many."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import NamedTuple


class ModelTurn(NamedTuple):
    """Which model's requests come next.

    Attributes:
        model: The model to admit requests of; not the resident one if it must be swapped in first.
        requests: How many of them at most, for now.
    """

    model: str
    requests: int


class ModelScheduler:
    """Keeps serving one model until no request waits for it, or until it has had its share.

    Next is, of the models that requests wait for and whose weights are in host memory, the one that
    was served the longest ago. So the first request in line for such a model waits for at most
    `limit` requests of each other model, and for those that were running.

    Args:
        limit: Requests of the resident model admitted while others wait for theirs.
        first: The resident model to begin with.
    """

    def __init__(self, limit: int, first: str) -> None:
        self._limit = limit
        self._passed = 0
        self._contested = False
        self._turns = 1
        self._last = {first: self._turns}

    def next_turn(
        self, resident: str | None, waiting: Sequence[str], at_hand: Collection[str]
    ) -> ModelTurn | None:
        """Return which model comes next; None where nothing that waits can run.

        Args:
            resident: Model whose weights are in the engine; None while they are written over.
            waiting: Models of the waiting requests, in their order.
            at_hand: Models that could be swapped in now.
        """
        others = [model for model in waiting if model != resident and model in at_hand]
        self._contested = bool(others)
        if not others:
            self._passed = 0
            return ModelTurn(resident, sys.maxsize) if resident is not None else None
        if resident is not None and resident in waiting and self._passed < self._limit:
            return ModelTurn(resident, self._limit - self._passed)
        return ModelTurn(min(dict.fromkeys(others), key=lambda model: self._last.get(model, 0)), 0)

    def admitted(self, requests: int) -> None:
        """Note how many requests of the resident model were admitted."""
        if self._contested:
            self._passed += requests

    def began(self, model: str) -> None:
        """Note that a model was swapped in."""
        self._turns += 1
        self._last[model] = self._turns
        self._passed = 0
