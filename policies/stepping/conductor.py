"""The interface of conductors: turns that are done go in, turns that may begin come out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances

Steps = NDArray[np.int64]
Positions = NDArray[np.float64]


class Conductor(Protocol):
    """Decides which agents may take their next turn; never waits and does no I/O.

    Attributes:
        step: int64[n], the next turn of each agent, at or past the end for those that have none.
            Read-only.
    """

    step: Steps

    def begin(self) -> Rows:
        """Return who may take the first turns; called once, before anything else."""
        ...

    def done(self, rows: Rows, next_step: Steps, position: Positions | None = None) -> Rows:
        """Note that agents took the turns they were given, and return who may go on.

        Args:
            rows: int64[m], distinct, each returned before and not noted since.
            next_step: int64[m], when each acts next; later than the turn it took.
            position: float64[m, 2], where each is now; None where there is no space.

        Returns:
            int64[k], agents whose turn at `step` may begin now; each is returned once a turn.
        """
        ...

    def floor(self) -> int:
        """Return the earliest step that is not done: all agents are past every step before it."""
        ...

    def waves(self) -> Distances:
        """Return float32[n], how many turns must end before each agent's next one can begin.

        They are counted one after the other: 0 for those that may act now, inf for those that have
        no turn left.
        """
        ...


class Dependencies(NamedTuple):
    """Who waits for whom, whatever happens.

    Agent `a` may take step t once each `others[i]` of `starts[a] <= i < starts[a + 1]` has its next
    turn at `t + lag[i]` or later.

    Attributes:
        starts: int64[n + 1].
        others: int64[m].
        lag: int64[m]; 0 for those whose last step is seen, 1 for those whose same step is.
    """

    starts: NDArray[np.int64]
    others: NDArray[np.int64]
    lag: NDArray[np.int64]

    @classmethod
    def make(
        cls, agents: int, seen: Rows | None = None, parents: Rows | None = None
    ) -> Dependencies:
        """Return the dependencies of `agents` agents.

        Args:
            agents: How many.
            seen: int64[m, 2], who is seen and who sees, as of the step before.
            parents: int64[m, 2], parent and child: a child's turn follows its parents' of the same
                step.
        """
        none = np.empty((0, 2), np.int64)
        pairs = [none if given is None else given for given in (seen, parents)]
        others, waiting = np.concatenate(pairs).astype(np.int64).T
        lag = np.repeat(np.arange(2), [len(each) for each in pairs])
        order = np.argsort(waiting, kind="stable")
        counts = np.bincount(waiting, minlength=agents)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(starts, np.ascontiguousarray(others[order]), lag[order])

    def depths(self) -> Steps:
        """Return int64[n], how many agents must act before each one in a step, in a row."""
        waiting = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        depth = np.zeros(len(self.starts) - 1, np.int64)
        follows = self.lag > 0
        while True:
            deeper = depth.copy()
            np.maximum.at(deeper, waiting[follows], depth[self.others[follows]] + 1)
            if np.array_equal(deeper, depth):
                return depth
            depth = deeper
