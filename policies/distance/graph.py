"""Agents that act because others did: workflows with joins, and spreading over a social graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.errors import InvalidRequestError
from scalesim.policies.planning import Rows
from scalesim.vocabulary import Distances

Edges = NDArray[np.int64]


class Workflow:
    """A directed acyclic workflow: how many stages until each agent's turn.

    A stage begins when its last parent has finished, so the distance is the longest path from
    what runs now (KVFlow's steps-to-execution, arXiv 2507.07400, takes the same maximum at joins).
    Agents that have finished are unforeseen, and so are those who wait for one that never began.

    Args:
        agents: How many.
        edges: int64[m, 2], parent and child.

    Raises:
        InvalidRequestError: The edges form a cycle.
    """

    def __init__(self, agents: int, edges: Edges) -> None:
        self._finished = np.zeros(agents, np.bool_)
        self._running = np.zeros(agents, np.bool_)
        self._waves = _by_depth(agents, edges)
        children = np.zeros(agents, np.bool_)
        children[edges[:, 1]] = True
        self._roots = ~children

    def update(self, running: Rows, finished: Rows) -> None:
        """Say who runs now and who has just finished."""
        self._running[:] = False
        self._running[running] = True
        self._finished[finished] = True

    def distances(self, now: float) -> Distances:
        """Return stages to each agent's turn; `now` is not needed."""
        ahead = np.where(self._roots, 0.0, -np.inf)
        for parents, children in self._waves:
            wait = np.where(self._finished[parents], 0.0, ahead[parents] + 1.0)
            np.maximum.at(ahead, children, wait)
            ahead[self._running] = 0.0
        ahead[self._finished & ~self._running] = np.inf
        return ahead.astype(np.float32)


class Diffusion:
    """Activity that spreads along edges: expected steps until it reaches each agent.

    An edge that fires with probability p per step takes 1/p steps on average (geometric waiting
    time), so the distance is the shortest such path from the running set; with p = 1 it is BFS
    hops. Computed by relaxing all edges at once, `max_hops` times at most.

    Args:
        agents: How many.
        edges: int64[m, 2], from whom to whom activity spreads.
        probability: float64[m] in (0, 1], or one value for all.
        max_hops: Agents farther than this are unforeseen.
    """

    def __init__(
        self,
        agents: int,
        edges: Edges,
        probability: NDArray[np.float64] | float = 1.0,
        max_hops: int = 4,
    ) -> None:
        self._running = np.zeros(agents, np.bool_)
        self._spent = np.zeros(agents, np.bool_)
        self._from, self._to = edges.T
        chance = np.clip(np.broadcast_to(probability, len(edges)), 1e-9, 1.0)
        self._steps = 1.0 / chance
        self._max_hops = max_hops

    def update(self, running: Rows, spent: Rows) -> None:
        """Say who is active now and who cannot be activated again."""
        self._running[:] = False
        self._running[running] = True
        self._spent[spent] = True

    def distances(self, now: float) -> Distances:
        """Return expected steps from the running set; `now` is not needed."""
        ahead = np.where(self._running, 0.0, np.inf)
        for _ in range(self._max_hops):
            before = ahead.copy()
            np.minimum.at(ahead, self._to, before[self._from] + self._steps)
            if np.array_equal(before, ahead):
                break
        ahead[self._spent & ~self._running] = np.inf
        return ahead.astype(np.float32)


def _by_depth(agents: int, edges: Edges) -> list[tuple[Rows, Rows]]:
    """Return edges grouped by the depth of their child: parents come before children."""
    depth = np.zeros(agents, np.int64)
    parents, children = edges.T
    for _ in range(agents):
        deeper = depth.copy()
        np.maximum.at(deeper, children, depth[parents] + 1)
        if np.array_equal(deeper, depth):
            break
        depth = deeper
    else:
        raise InvalidRequestError(
            "the workflow's edges form a cycle: give a directed acyclic graph", "edges"
        )
    return [
        (parents[depth[children] == level], children[depth[children] == level])
        for level in range(1, int(depth.max(initial=0)) + 1)
    ]
