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
    device_bytes: NDArray[np.float64] | float = np.inf,
) -> Places:
    """Return int32[n], places in which memory is level and so is each of the coming steps.

    Sticky: an agent moves only from a replica above its limit to the one with most room, and only
    when that ends sooner even with the cost of the move. Each step is levelled, nearest first,
    with the agents that are cheapest to move: first where they do not fit on the device together,
    as the last of them would wait until others have ended; then where there is more work than in
    the mean. Then memory is, with agents that have no state to lose, farthest first. The order
    within a step is the greedy rule of Graham, Bounds on multiprocessing timing anomalies, 1969,
    restricted to what is above the limit.

    Args:
        agents: All that act within the horizon, and others that may move; not modified.
        others_bytes: float64[replicas], state of agents that are not listed.
        horizon_steps: How many steps to level.
        tolerance: Share of the mean a replica may be above it before anyone moves.
        most_moves: Agents moved at most; None for any number.
        device_bytes: float64[replicas], state that fits on each device.
    """
    place = agents.place.copy()
    left = len(place) if most_moves is None else most_moves
    nothing, free_of_charge = np.zeros(len(others_bytes)), np.zeros(len(place))
    size = agents.state_bytes.astype(np.float64)
    fits = np.broadcast_to(np.float64(device_bytes), len(others_bytes))
    cheapest = np.argsort(agents.move_s, kind="stable")
    cheapest = cheapest[agents.movable[cheapest]]
    for step in range(horizon_steps):
        active = (agents.distance >= step) & (agents.distance < step + 1)
        candidates = cheapest[active[cheapest]]
        together = np.where(active, size, 0.0)
        left -= _level(place, together, nothing, fits, free_of_charge, candidates, left)
        work_s = np.where(active, agents.request_s, 0.0)
        limits = _mean_limits(work_s, nothing, tolerance)
        left -= _level(place, work_s, nothing, limits, agents.move_s, candidates, left)
    free = np.flatnonzero(
        agents.movable & (agents.move_s == 0) & (agents.distance >= horizon_steps)
    )
    farthest = free[np.argsort(-agents.distance[free], kind="stable")]
    limits = _mean_limits(size, others_bytes, tolerance)
    _level(place, size, others_bytes, limits, agents.move_s, farthest, left)
    return place


def _mean_limits(
    load: NDArray[np.float64], others: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """Return for every replica the mean of all loads, and a little more."""
    mean = (others.sum() + load.sum()) / len(others)
    return np.full(len(others), mean * (1.0 + tolerance))


def _level(
    place: Places,
    load: NDArray[np.float64],
    others: NDArray[np.float64],
    limits: NDArray[np.float64],
    penalty: Seconds,
    candidates: Rows,
    most_moves: int,
) -> int:
    """Move candidates, in order, off replicas above limits; modifies `place`, returns moves."""
    loads = others + np.bincount(place, load, len(others))
    moves = 0
    for row in candidates[(loads > limits)[place[candidates]]].tolist():
        if moves == most_moves:
            break
        source = int(place[row])
        if loads[source] <= limits[source]:
            continue
        target = int((loads - limits).argmin())
        arrived = loads[target] + load[row] + penalty[row]
        if arrived < loads[source]:
            loads[source] -= load[row]
            loads[target] = arrived
            place[row] = target
            moves += 1
    return moves
