"""Fetches that are guesses: they begin between two steps, when no request would wait for them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from scalesim.vocabulary import GUESSED

QUIET_PASSES = 16
"""Passes without a request after which a step is taken to be over: one request of a step may end
before the next one comes."""


class GuessedFetches:
    """Agents whose distance was learned from requests, not reported, and who are to be fetched.

    Most guesses are wrong, and requests would wait for the link behind them.

    Args:
        distance: Returns the distance of an agent.
    """

    def __init__(self, distance: Callable[[int], float]) -> None:
        self._distance = distance
        self._waiting: dict[int, None] = {}
        self._quiet_passes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def waits(self, key: int) -> bool:
        """Return whether a fetch must wait, which is noted then."""
        waits = GUESSED <= self._distance(key) < inf and self._quiet_passes < QUIET_PASSES
        if waits:
            self._waiting[key] = None
        return waits

    def due(self, *, requests: bool) -> list[int]:
        """Return, as a pass settles, whose fetches may begin, in the order they were asked for.

        Args:
            requests: Whether any runs or waits.
        """
        self._quiet_passes = 0 if requests else self._quiet_passes + 1
        return list(self._waiting) if self._quiet_passes >= QUIET_PASSES else []

    def discard(self, key: int) -> None:
        """Forget a fetch; a no-op where there is none."""
        self._waiting.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
