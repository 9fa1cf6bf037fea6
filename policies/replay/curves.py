"""Miss-ratio curves: how much memory would each policy need?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.replay_policies import replay

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Shares of the distinct agents that fit."""


class Curves(NamedTuple):
    """Miss ratios over capacity.

    Attributes:
        shares: Capacities, as shares of the distinct agents.
        miss_ratio: For each policy, one value a share.
    """

    shares: tuple[float, ...]
    miss_ratio: dict[str, list[float]]


def miss_ratio_curves(
    trace: Trace, names: Sequence[str], hints: str, prefetch: bool, seed: int = 0
) -> Curves:
    """Return the miss ratio of each policy at each of `SHARES`."""
    reports = [replay(Case(trace, share, hints, prefetch, seed=seed), names) for share in SHARES]
    return Curves(
        SHARES,
        {name: [1.0 - r["policies"][name]["hit_ratio"] for r in reports] for name in names},
    )
