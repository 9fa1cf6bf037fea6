"""Who calls in which step, known before the run: activation does not depend on any answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

AgentRows = NDArray[np.int32]


class _Turns(NamedTuple):
    """All turns after the warm-up by agent, then step, and a last one that belongs to no agent.

    Attributes:
        key: int64[m + 1], `row * steps + step`, ascending.
        due: float64[m + 1], when it is in absolute steps.
        calls: int64[m + 1], how many it has.
    """

    key: NDArray[np.int64]
    due: NDArray[np.float64]
    calls: NDArray[np.int64]


class Schedule:
    """Calls of every step, as rows of agents.

    Step 0 is the warm-up, in which every agent calls once in order of rows.

    Args:
        agents: How many agents there are.
        calls: One array a step, from step 1 on: rows of agents in the order of their calls; an
            agent may call several times in a step.
        ordered: Whether that order is known to the simulation, or calls of a step are concurrent.
    """

    def __init__(self, agents: int, calls: Sequence[AgentRows], *, ordered: bool) -> None:
        self.ordered = ordered
        self._calls = [np.arange(agents, dtype=np.int32), *calls]

    def __len__(self) -> int:
        """How many steps are known, the warm-up included."""
        return len(self._calls)

    def calls(self, step: int) -> AgentRows:
        """Return the rows of a step's calls in order, repeats included."""
        return self._calls[step]

    def active(self, step: int) -> AgentRows:
        """Return the rows that call in a step, each once, in the order of their first calls."""
        calls = self._calls[step]
        _, first = np.unique(calls, return_index=True)
        rows: AgentRows = calls[np.sort(first)]
        return rows

    def next_use(self, step: int) -> NDArray[np.float64]:
        """Return for every agent when it calls next after `step`: absolute steps, inf for never."""
        turns, rows = self._turns, np.arange(len(self._calls[0]))
        place = np.searchsorted(turns.key, rows * len(self) + step + 1)
        is_own = turns.key[place] < (rows + 1) * len(self)
        return np.where(is_own, turns.due[place], np.inf)

    def next_use_of(self, row: int, step: int) -> float:
        """Return the same for one agent."""
        turns = self._turns
        place = np.searchsorted(turns.key, row * len(self) + step + 1)
        is_own = turns.key[place] < (row + 1) * len(self)
        return float(turns.due[place]) if is_own else np.inf

    def calls_of(self, row: int, step: int) -> int:
        """Return how often an agent calls in a step after the warm-up."""
        turns, key = self._turns, row * len(self) + step
        place = np.searchsorted(turns.key, key)
        return int(turns.calls[place]) if turns.key[place] == key else 0

    @cached_property
    def _turns(self) -> _Turns:
        found = []
        for step in range(1, len(self)):
            rows, calls = self.active(step), self._calls[step]
            due = np.full(len(rows), float(step))
            if self.ordered:
                due += np.arange(len(rows)) / len(rows)
            counts = np.unique(calls, return_counts=True)[1]  # by row
            order = np.argsort(rows)
            found.append((rows[order].astype(np.int64) * len(self) + step, due[order], counts))
        none = np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
        key, due, counts = map(np.concatenate, zip(none, *found, strict=True))
        order = np.append(np.argsort(key), len(key))
        return _Turns(
            *(
                np.append(each, last)[order]
                for each, last in ((key, np.iinfo(np.int64).max), (due, np.inf), (counts, 0))
            )
        )
