"""Who should move to another replica, so that no replica makes a step wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.vocabulary import Bytes, Distances

Places = NDArray[np.int32]
Seconds = NDArray[np.float64]


class Population(NamedTuple):
    """Agents and where they live, one row each, read-only.

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
    agents: Population,
    others_bytes: NDArray[np.float64],
    horizon_steps: int = 2,
    tolerance: float = 0.05,
    most_moves: int | None = None,
) -> Places:
    """Return int32[n], places in which memory is level and so is each of the coming steps.

    Sticky: an agent moves only from a replica above the mean to the least loaded one, and only
    when that ends sooner even with the cost of the move. Each step is levelled, nearest first,
    with the agents that are cheapest to move; then memory with agents that have no state to lose,
    farthest first. The order within a step is the greedy rule of Graham, Bounds on multiprocessing
    timing anomalies, 1969, restricted to what is above the mean.

    Args:
        agents: All that act within the horizon, and others that may move; not modified.
        others_bytes: float64[replicas], state of agents that are not listed.
        horizon_steps: How many steps to level.
        tolerance: Share of the mean a replica may be above it before anyone moves.
        most_moves: Agents moved at most; None for any number.
    """
    place = agents.place.copy()
    left = len(place) if most_moves is None else most_moves
    nothing = np.zeros(len(others_bytes))
    cheapest = np.argsort(agents.move_s, kind="stable")
    cheapest = cheapest[agents.movable[cheapest]]
    for step in range(horizon_steps):
        active = (agents.distance >= step) & (agents.distance < step + 1)
        work_s = np.where(active, agents.request_s, 0.0)
        candidates = cheapest[active[cheapest]]
        left -= _level(place, work_s, nothing, agents.move_s, candidates, tolerance, left)
    free = np.flatnonzero(
        agents.movable & (agents.move_s == 0) & (agents.distance >= horizon_steps)
    )
    farthest = free[np.argsort(-agents.distance[free], kind="stable")]
    size = agents.state_bytes.astype(np.float64)
    _level(place, size, others_bytes, agents.move_s, farthest, tolerance, left)
    return place


def _level(
    place: Places,
    load: NDArray[np.float64],
    others: NDArray[np.float64],
    penalty: Seconds,
    candidates: Rows,
    tolerance: float,
    most_moves: int,
) -> int:
    """Move candidates, in order, off replicas above the mean; modifies `place`, returns moves."""
    loads = others + np.bincount(place, load, len(others))
    limit = loads.mean() * (1.0 + tolerance)
    moves = 0
    for row in candidates[loads[place[candidates]] > limit].tolist():
        if moves == most_moves:
            break
        source = int(place[row])
        if loads[source] <= limit:
            continue
        target = int(loads.argmin())
        arrived = loads[target] + load[row] + penalty[row]
        if arrived < loads[source]:
            loads[source] -= load[row]
            loads[target] = arrived
            place[row] = target
            moves += 1
    return moves
