"""The planner: from distances, residency and budgets to directives for one replica."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.base import Plan, View
from policies.shares import over_share
from scalesim.vocabulary import Budgets, Tier, Verb

Rows = NDArray[np.int64]


class DistancePlanner:
    """Nearest on the device, the next ones in host memory, the rest in storage.

    Each tier is filled nearest first, every simulation up to its max-min fair share before any
    goes past it. State in use or pinned is counted first and never moved. Room is made only for
    prefetches that need it, farthest first, so a plan that was carried out is followed by an empty
    one. A row that is in a tier counts as `margin_steps` nearer than it is: it gives way only to
    rows nearer by more than that, so nothing is moved back and forth.

    Args:
        margin_steps: Hysteresis, in simulation steps.
    """

    def __init__(self, margin_steps: float = 0.5) -> None:
        self.margin_steps = margin_steps

    def plan(self, view: View, budgets: Budgets) -> Plan:
        """Return the moves worth making now; does not modify the view."""
        fixed = view.in_use | view.pinned
        wanted = np.isfinite(view.distance) & (view.total_bytes > 0) & ~fixed

        on_device, order = self._fill(view, fixed, view.device_bytes, budgets.device_bytes)
        source = np.maximum(view.host_bytes, view.storage_bytes)
        missing = np.clip(source - view.device_bytes, 0, None)
        fetch, demote = _exchange(
            order,
            wanted & on_device,
            missing,
            ~fixed & ~on_device,
            view.device_bytes,
            budgets.device_bytes,
        )

        in_host, host_order = self._fill(view, fixed, view.host_bytes, budgets.host_bytes)
        missing = np.clip(view.storage_bytes - view.host_bytes, 0, None)
        off_device = view.device_bytes == 0
        cold = ~fixed & ~in_host & ~on_device & off_device & bool(budgets.storage_bytes)
        stage, retire = _exchange(
            host_order,
            wanted & in_host & off_device,
            missing,
            cold,
            view.host_bytes,
            budgets.host_bytes,
        )
        stage = stage[~np.isin(stage, fetch)]

        keeps_host_copy = in_host | (view.host_bytes > 0) | (budgets.storage_bytes == 0)
        refuge = np.where(keeps_host_copy[demote], Tier.HOST, Tier.STORAGE)
        return Plan(
            rows=np.concatenate([retire, demote, fetch, stage]),
            verbs=np.repeat(
                np.array([Verb.DEMOTE, Verb.PREFETCH], dtype=np.uint8),
                [len(retire) + len(demote), len(fetch) + len(stage)],
            ),
            tiers=np.concatenate(
                [
                    np.full(len(retire), Tier.STORAGE),
                    refuge,
                    np.full(len(fetch), Tier.DEVICE),
                    np.full(len(stage), Tier.HOST),
                ]
            ).astype(np.uint8),
        )

    def _fill(
        self, view: View, fixed: NDArray[np.bool_], resident: NDArray[np.int64], budget: int
    ) -> tuple[NDArray[np.bool_], Rows]:
        """Return which rows belong in a tier (bool[n]) and all candidates, best first."""
        near = view.distance - np.where(resident > 0, np.float32(self.margin_steps), 0)
        near = np.where(fixed, -np.inf, near).astype(np.float32)
        known = view.total_bytes > 0
        rows = np.flatnonzero(known & (np.isfinite(view.distance) | (resident > 0) | fixed))
        rows = rows[np.lexsort((-view.last_used[rows], near[rows]))]
        sizes = view.total_bytes[rows]
        past = over_share(view.simulation[rows], sizes, budget)
        past &= ~fixed[rows]
        rows = np.concatenate([rows[~past], rows[past]])
        fitting = rows[fixed[rows] | (view.total_bytes[rows] <= budget)]
        chosen = np.zeros(len(view.distance), dtype=np.bool_)
        chosen[fitting[np.cumsum(view.total_bytes[fitting]) <= budget]] = True
        return chosen, rows


def _exchange(
    order: Rows,
    wanted: NDArray[np.bool_],
    missing: NDArray[np.int64],
    movable: NDArray[np.bool_],
    resident: NDArray[np.int64],
    budget: int,
) -> tuple[Rows, Rows]:
    """Return rows to bring in, nearest first, and rows that make room for them, farthest first.

    Brings in as much as fits after everything movable left, and moves out no more than that needs.
    """
    free = budget - int(resident.sum())
    incoming = order[(wanted & (missing > 0))[order]]
    outgoing = order[(movable & (resident > 0))[order]][::-1]
    room = np.cumsum(resident[outgoing])
    need = np.cumsum(missing[incoming])
    incoming = incoming[need <= free + (int(room[-1]) if len(room) else 0)]
    shortage = int(need[len(incoming) - 1]) - free if len(incoming) else 0
    leaving = int(np.searchsorted(room, shortage)) + 1 if shortage > 0 else 0
    return incoming, outgoing[:leaving]
