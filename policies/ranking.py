"""Who comes first for a tier: nearest first, each simulation within its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows, View
from scalesim.policies.shares import over_share
from scalesim.vocabulary import Bytes, Distances

BUCKETS = 512
"""Two to each doubling of a positive float: its exponent and one bit more."""


def ranked(
    view: View,
    near: Distances,
    fixed: NDArray[np.bool_],
    resident: NDArray[np.int64],
    budget: int,
) -> Rows:
    """Return the rows that compete for a tier, best first.

    These are the rows that are in it, must stay in it, or have a foreseen use. They are ordered by
    `near`, ties by recency; rows past their simulation's share or quota come after all others.

    Args:
        view: Payloads.
        near: float32[n], distances as they count here, -inf for fixed rows.
        fixed: bool[n], rows that must stay.
        resident: int64[n], bytes in the tier now.
        budget: Bytes of the tier.
    """
    rows = np.flatnonzero(
        (view.total_bytes > 0) & (np.isfinite(view.distance) | (resident > 0) | fixed)
    )
    near_enough = _in_reach(near[rows], view.total_bytes[rows], view.simulation[rows], budget)
    rows = rows[near_enough | (resident[rows] > 0) | fixed[rows]]
    rows = rows[np.argsort(_sort_keys(near[rows], view.last_used[rows]))]
    over = over_share(view.simulation[rows], view.total_bytes[rows], budget, view.quota)
    over &= ~fixed[rows]
    return np.concatenate([rows[~over], rows[over]])


def _sort_keys(near: Distances, last_used: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return one integer for (distance, age in ms): sorting those is ten times faster than pairs.

    The bits of a float order like an integer once those of negative ones are flipped.
    """
    bits = near.view(np.int32).astype(np.int64)
    bits ^= (bits >> 31) & 0x7FFF_FFFF
    age_ms = (last_used.max(initial=0.0) - last_used) * 1e3
    keys: NDArray[np.int64] = (bits << 32) | np.minimum(age_ms, 2.0**32 - 1).astype(np.int64)
    return keys


def _in_reach(
    near: Distances, sizes: Bytes, simulation: NDArray[np.int32], budget: int
) -> NDArray[np.bool_]:
    """Leave out rows that cannot win, so that sorting is spared most of a large population.

    A row cannot win when the nearer rows of its own simulation fill the budget alone. Distances are
    looked at in coarse buckets, so a few too many are kept, never too few.
    """
    simulations = int(simulation.max(initial=0)) + 1
    if simulations * BUCKETS > len(near):
        return np.ones(len(near), np.bool_)
    bucket = np.maximum(near, 0).view(np.int32) >> 22
    code = simulation.astype(np.int64) * BUCKETS + bucket
    inside = np.bincount(code, sizes, simulations * BUCKETS)
    nearer = np.cumsum(inside.reshape(simulations, BUCKETS), axis=1).ravel() - inside
    return (nearer <= budget)[code]
