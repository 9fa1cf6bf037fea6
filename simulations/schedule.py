"""Who calls in which step, known before the run: activation does not depend on any answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

AgentRows = NDArray[np.int32]


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
        row: NDArray[np.float64] = self._next_use[step]
        return row

    @cached_property
    def _next_use(self) -> NDArray[np.float64]:
        table = np.full((len(self), len(self._calls[0])), np.inf)
        for step in reversed(range(1, len(self))):
            rows = self.active(step)
            table[step - 1] = table[step]
            table[step - 1, rows] = step
            if self.ordered:
                table[step - 1, rows] += np.arange(len(rows)) / len(rows)
        return table
