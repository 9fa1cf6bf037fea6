"""Who should move to another replica, so that no replica makes a step wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.base import Rows
from scalesim.vocabulary import Bytes, Distances

Places = NDArray[np.int32]
Seconds = NDArray[np.float64]


class Population(NamedTuple):
    """All agents and where they live, one row each, read-only.

    Attributes:
        place: int32[n], replica of each agent.
        distance: float32[n], steps to the next use.
        state_bytes: int64[n], device memory the state takes.
        request_s: float64[n], engine time of a request.
        move_s: float64[n], what a move costs: rebuilding or sending the state; 0 where there is
            none yet.
        movable: bool[n], False for state in use or pinned.
    """

    place: Places
    distance: Distances
    state_bytes: Bytes
    request_s: Seconds
    move_s: Seconds
    movable: NDArray[np.bool_]


def rebalanced(
    agents: Population, replicas: int, horizon_steps: int = 2, tolerance: float = 0.05
) -> Places:
    """Return int32[n], places in which memory is level and so is each of the coming steps.

    Sticky: an agent moves only from a replica above the mean to the least loaded one, and only
    when that ends sooner even with the cost of the move. Memory is levelled with agents that have
    no state to lose, farthest first; then each step, nearest first, with the agents that are
    cheapest to move. The order within a step is the greedy rule of Graham, Bounds on
    multiprocessing timing anomalies, 1969, restricted to what is above the mean.

    Args:
        agents: Who lives where; not modified.
        replicas: How many there are.
        horizon_steps: How many steps to level.
        tolerance: Share of the mean a replica may be above it before anyone moves.
    """
    place = agents.place.copy()
    free = agents.movable & (agents.move_s == 0)
    farthest = np.argsort(-agents.distance, kind="stable")
    nothing = np.zeros(len(place))
    _level(place, agents.state_bytes, nothing, farthest[free[farthest]], replicas, tolerance)
    cheapest = np.argsort(agents.move_s, kind="stable")
    cheapest = cheapest[agents.movable[cheapest]]
    for step in range(horizon_steps):
        active = (agents.distance >= step) & (agents.distance < step + 1)
        load = np.where(active, agents.request_s, 0.0)
        _level(place, load, agents.move_s, cheapest[active[cheapest]], replicas, tolerance)
    return place


def _level(
    place: Places,
    load: NDArray[np.float64] | Bytes,
    penalty: Seconds,
    candidates: Rows,
    replicas: int,
    tolerance: float,
) -> None:
    """Move candidates, in order, off replicas above the mean; modifies `place`."""
    loads = np.bincount(place, load, replicas)
    limit = loads.mean() * (1.0 + tolerance)
    for row in candidates[loads[place[candidates]] > limit].tolist():
        source, target = int(place[row]), int(loads.argmin())
        arrived = loads[target] + load[row] + penalty[row]
        if loads[source] > limit and arrived < loads[source]:
            loads[source] -= load[row]
            loads[target] = arrived
            place[row] = target
