"""Fair shares: how much of a tier each simulation may fill before the others had theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Bytes, Distances

BEHIND = np.float32(2**50)
"""Multiplies the distance of state past its simulation's share: behind everything within one, and
what is near there is still distinguished as finely."""


def max_min_shares(demand: NDArray[np.float64], budget: float) -> NDArray[np.float64]:
    """Return each claimant's max-min fair share of a budget.

    Who asks for less than an equal part gets all of it; the rest is divided equally among the
    others (Bertsekas and Gallager, Data Networks, section 6.5.2).

    Args:
        demand: float64[m], what each claimant could use, in any unit.
        budget: What there is, in the same unit.

    Returns:
        float64[m], at most `demand` each; sums to `min(budget, demand.sum())`.
    """
    order = np.argsort(demand, kind="stable")
    ascending = demand[order]
    before = np.cumsum(ascending) - ascending
    equal_part = np.maximum(budget - before, 0.0) / np.arange(len(demand), 0, -1)
    unmet = ascending > equal_part
    level = equal_part[np.argmax(unmet)] if unmet.any() else np.inf
    return np.minimum(demand, level)


def fair_distances(
    distance: Distances,
    sizes: Bytes,
    simulation: NDArray[np.int32],
    budget: int,
    quota: NDArray[np.float64],
) -> Distances:
    """Return distances by which evicting farthest first starves no simulation.

    A simulation that claims everything is needed now keeps only its max-min fair share ahead of
    the others, and at most its quota; the rest of its state goes before theirs. Only what has a
    finite distance claims a share, so a simulation that is alone in reporting distances keeps them
    as they are.

    Args:
        distance: float32[n], steps, none negative, of everything on one replica; not modified.
        sizes: int64[n], bytes, 0 where not known.
        simulation: int32[n], owner of each row.
        budget: Bytes of the device.
        quota: float64[m], largest share of the device, by simulation number.
    """
    if _undisputed(simulation, quota):
        return distance
    claims = np.flatnonzero(np.isfinite(distance) & (sizes > 0))
    unlimited = bool((quota[simulation[claims]] >= 1).all())
    if unlimited and (_alone(simulation[claims]) or int(sizes[claims].sum()) <= budget):
        return distance
    nearest = claims[np.argsort(_coarse(distance[claims]), kind="stable")]
    over = nearest[over_share(simulation[nearest], sizes[nearest], budget, quota)]
    fair = distance.copy()
    fair[over] = (fair[over] + 1) * BEHIND
    return fair


def over_share(
    simulation: NDArray[np.int32], sizes: Bytes, budget: int, quota: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which rows lie past their simulation's fair share.

    Args:
        simulation: int32[n], owner of each row, numbers from 0 to 32,767, best row first.
        sizes: int64[n], bytes of each row.
        budget: Bytes of the tier.
        quota: float64[m], largest share of the tier, by simulation number.

    Returns:
        bool[n], True where the rows of the same simulation up to and including this one exceed
        its quota or its max-min fair share. All False with a single simulation that has no quota:
        no simulation loses by it.
    """
    if _undisputed(simulation, quota):
        return np.zeros(len(simulation), dtype=np.bool_)
    demand = np.bincount(simulation, weights=sizes).astype(np.float64)
    allowed = quota[: len(demand)] * budget
    shares = max_min_shares(np.minimum(demand, allowed), float(budget))
    return _running(simulation, sizes) > shares[simulation]


def over_quota(
    simulation: NDArray[np.int32], sizes: Bytes, budget: int, quota: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which rows lie past their simulation's quota, arguments as for `over_share`."""
    if (quota[simulation] >= 1).all():
        return np.zeros(len(simulation), dtype=np.bool_)
    return _running(simulation, sizes) > quota[simulation] * budget


def _running(simulation: NDArray[np.int32], sizes: Bytes) -> Bytes:
    """Return int64[n], bytes of the same simulation up to and including each row."""
    grouped = np.argsort(simulation.astype(np.int16), kind="stable")  # 16 bits: sorted in O(n)
    running = np.cumsum(sizes[grouped])
    owners = simulation[grouped]
    first = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    lengths = np.diff(np.r_[first, len(owners)])
    running -= np.repeat(running[first] - sizes[grouped][first], lengths)
    in_order = np.empty_like(running)
    in_order[grouped] = running
    return in_order


def _coarse(distance: Distances) -> NDArray[np.uint16]:
    """Return distances to one part in 128, in 16 bits that order alike and are sorted in O(n)."""
    return (distance.view(np.uint32) >> 16).astype(np.uint16)


def _undisputed(simulation: NDArray[np.int32], quota: NDArray[np.float64]) -> bool:
    """Tell whether one simulation may have it all."""
    return _alone(simulation) and (len(simulation) == 0 or bool(quota[simulation[0]] >= 1))


def _alone(simulation: NDArray[np.int32]) -> bool:
    """Return whether there is no second simulation to be fair to."""
    return len(simulation) == 0 or bool((simulation == simulation[0]).all())
