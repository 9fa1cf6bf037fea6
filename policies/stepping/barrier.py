"""The barrier: all of one step, then the next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.policies.stepping.conductor import Positions, Steps
from scalesim.policies.stepping.space import Space
from scalesim.vocabulary import Distances

RanksOf = Callable[[int], Steps]


class Barrier:
    """Gives out all turns of the earliest step, and the next step's when the last one is done.

    Args:
        step: int64[n], first turn of each agent; taken over.
        end: Agents whose next turn is at or past this step have none.
        ranks: Returns int64[n] for a step: who has a lower rank acts before who has a higher one;
            None lets all act at once.
        space: Moved along, where agents have places.
    """

    def __init__(
        self, step: Steps, end: int, ranks: RanksOf | None = None, space: Space | None = None
    ) -> None:
        self.step = step
        self._end = end
        self._ranks = ranks
        self._space = space
        self._floor = self._earliest()
        self._out = np.zeros(len(step), np.bool_)
        self._left = 0
        self._waves: list[Rows] = []

    def begin(self) -> Rows:
        """See `Conductor.begin`."""
        return self._next_wave()

    def done(self, rows: Rows, next_step: Steps, position: Positions | None = None) -> Rows:
        """See `Conductor.done`."""
        self.step[rows] = next_step
        self._out[rows] = False
        self._left -= len(rows)
        if self._space is not None and position is not None:
            self._space.move(rows, position, next_step)
        return self._next_wave() if self._left == 0 else np.empty(0, np.int64)

    def floor(self) -> int:
        """See `Conductor.floor`."""
        return self._floor

    def waves(self) -> Distances:
        """See `Conductor.waves`."""
        ahead = np.full(len(self.step), len(self._waves) + 1, np.float32)
        ahead += np.maximum(self.step - self._floor - 1, 0)
        for number, rows in enumerate(self._waves, 1):
            ahead[rows] = number
        ahead[self._out] = 0
        ahead[self.step >= self._end] = np.inf
        return ahead

    def _next_wave(self) -> Rows:
        if not self._waves:
            self._floor = self._earliest()
            if self._floor == self._end:
                return np.empty(0, np.int64)
            self._waves = self._waves_of(self._floor)
        wave = self._waves.pop(0)
        self._out[wave] = True
        self._left = len(wave)
        return wave

    def _earliest(self) -> int:
        return int(min(self.step.min(initial=self._end), self._end))

    def _waves_of(self, step: int) -> list[Rows]:
        acting = np.flatnonzero(self.step == step)
        if self._ranks is None:
            return [acting]
        rank = self._ranks(step)[acting]
        order = np.argsort(rank, kind="stable")
        return np.split(acting[order], np.flatnonzero(np.diff(rank[order])) + 1)
