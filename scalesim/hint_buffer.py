"""Hints waiting to be sent: one row an agent, the latest value wins.

A hint is kept as the step the agent is due at, not as a distance, so that hints given at
different steps can travel together and one that waited is still right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from scalesim.transports.transport import MAX_ROWS, Report
from scalesim.vocabulary import steps_until

Change = Literal["pin", "unpin", "done"]
Value = TypeVar("Value")


class HintBatch(NamedTuple):
    """All hints that were waiting in the buffer.

    Attributes:
        epoch: Newest step when it was taken.
        due: Step of each agent's next call.
        changes: Latest change of each agent's life.
        ends: The simulation ended before all of these were reported.
    """

    epoch: int
    due: Mapping[str, float]
    changes: Mapping[str, Change]
    ends: bool = False

    @property
    def rows(self) -> int:
        """How many hints there are."""
        return len(self.due) + len(self.changes)

    def reports(self) -> Iterator[Report]:
        """Yield reports of at most `MAX_ROWS` rows."""
        ids = list(self.due)
        due = np.fromiter(self.due.values(), np.float64, len(ids))
        distances = steps_until(due, self.epoch)
        for start in range(0, len(ids), MAX_ROWS):
            rows = slice(start, start + MAX_ROWS)
            yield Report(self.epoch, ids[rows], distances[rows])

    def agents(self, change: Change) -> list[str]:
        """Return the agents whose latest change is this one."""
        return [agent for agent, latest in self.changes.items() if latest == change]


class HintBuffer:
    """Bounded store of the latest hints. Not thread-safe: its owner holds a lock.

    Args:
        limit: Most hints kept; more are refused until the buffer was drained.
    """

    def __init__(self, limit: int) -> None:
        self.epoch = 0
        self._limit = limit
        self._due: dict[str, float] = {}
        self._changes: dict[str, Change] = {}
        self._ends = False

    def __bool__(self) -> bool:
        return self._ends or len(self) > 0

    def __len__(self) -> int:
        return len(self._due) + len(self._changes)

    def add_due(self, due: Mapping[str, float]) -> int:
        """Take over due steps; returns how many were refused for lack of room."""
        return sum(not self._put(self._due, agent, step) for agent, step in due.items())

    def change(self, agents: Iterable[str], change: Change) -> int:
        """Take over a change of agents' lives; returns how many were refused for lack of room."""
        refused = 0
        for agent in agents:
            if change == "done":
                self._due.pop(agent, None)
            refused += not self._put(self._changes, agent, change)
        return refused

    def drain(self) -> HintBatch:
        """Empty the buffer and return what was in it."""
        batch = HintBatch(self.epoch, self._due, self._changes, self._ends)
        self._due, self._changes, self._ends = {}, {}, False
        return batch

    def end(self) -> None:
        """Give up what waits and start over at step 0, once the simulation has ended."""
        self.drain()
        self.epoch, self._ends = 0, True

    def catch_up(self, epoch: int) -> None:
        """Move on to a later step; one reported before the simulation ended does not count."""
        if not self._ends:
            self.epoch = max(self.epoch, epoch)

    def close(self) -> int:
        """Take nothing over any more; returns how many hints were in it, which are lost."""
        self._limit = 0
        return self.drain().rows

    def restore(self, batch: HintBatch) -> None:
        """Put a batch back that could not be sent; newer hints win, an end wins over all of it."""
        if self._ends:
            return
        self._ends = batch.ends
        self._due = {**batch.due, **self._due}
        self._changes = {**batch.changes, **self._changes}

    def _put(self, store: dict[str, Value], agent: str, value: Value) -> bool:
        if agent not in store and len(self) >= self._limit:
            return False
        store[agent] = value
        return True
