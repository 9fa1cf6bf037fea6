"""The planner: from distances, residency, budgets and link speeds to one replica's directives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.links import Links
from scalesim.policies.planning import Plan, Rows, View
from scalesim.policies.ranking import ranked
from scalesim.policies.shares import over_quota
from scalesim.vocabulary import Budgets, Distances, Tier, Verb


class DistancePlanner:
    """Nearest on the device, the next ones in host memory, the rest in storage.

    Each tier is filled nearest first, every simulation up to its max-min fair share before any
    goes past it. State in use or pinned is counted first and never made to leave; what is pinned
    comes to the device before all others. Room is made only for fetches that need it, farthest
    first; what is dear to bring back, byte for byte, counts as nearer while it is on the device.
    A fetch is issued when its link gets to it within the window and no later than prefill would
    have rebuilt the state. No simulation is fetched past its quota. What requests need now leaves
    room when they end, long before a plan could say so: fetches for that room are issued too, after
    all others, and wait at the engine until it is there. Of agents that all ask in this step, in an
    order that nobody knows, and do not fit together, none is fetched: most would leave unused, and
    be in the way of those that ask. Their requests bring what they need.

    A row that is in a tier counts as `margin_steps` nearer than it is and gives way only to rows
    nearer by more than that: nothing is moved back and forth, and a plan that is carried out
    leaves nothing to do. A fetch that waits and is not wanted any more is called back, by the order
    to be where its state is; one that waits for the link is not, and what moves already arrives.

    Args:
        margin_steps: Hysteresis, in simulation steps.
    """

    def __init__(self, margin_steps: float = 0.5) -> None:
        self._margin_steps = margin_steps

    def plan(self, view: View, budgets: Budgets, links: Links) -> Plan:
        """Return the moves worth making now; does not modify the view."""
        fixed = view.in_use | view.pinned
        absent = view.device_bytes == 0
        crowd = _crowd(view, fixed, budgets.device_bytes)
        foreseen = np.isfinite(view.distance) & ~fixed

        host = self._fill(view, fixed, view.distance, view.host_bytes, budgets.host_bytes)
        stored = (view.storage_bytes > 0) | (budgets.storage_bytes > 0)
        kept_in_host = host.chosen | (view.host_bytes > 0) | (budgets.storage_bytes == 0)
        price = links.relative_price(host.chosen | (view.host_bytes > 0), stored)
        dear = np.where(absent, view.distance, (view.distance + 1) / price - 1)
        device = self._fill(view, fixed, dear, view.device_bytes, budgets.device_bytes)
        needed_now = int(view.device_bytes[view.in_use & ~view.pinned].sum())
        soon = self._fill(
            view, fixed, dear, view.device_bytes, budgets.device_bytes, to_come=needed_now
        )

        source = np.maximum(view.host_bytes, view.storage_bytes)
        fetch, demote = self._exchange(
            view,
            device,
            wanted=((foreseen & ~crowd) | (view.pinned & ~view.in_use)) & device.chosen,
            missing=np.maximum(source - view.device_bytes, 0),
            movable=~fixed & ~device.chosen & ~soon.chosen,
            links=links,
            bytes_per_s=links.host_bytes_per_s,
        )
        stage, retire = self._exchange(
            view,
            host,
            wanted=foreseen & host.chosen & absent,
            missing=np.maximum(view.storage_bytes - view.host_bytes, 0),
            movable=~fixed & ~host.chosen & ~device.chosen & absent & (budgets.storage_bytes > 0),
            links=links,
            bytes_per_s=links.storage_bytes_per_s,
        )
        fetched = np.zeros(len(fixed), np.bool_)
        fetched[fetch] = True
        missing = np.maximum(view.host_bytes - view.device_bytes, 0)
        later = foreseen & ~crowd & soon.chosen & ~fetched & (missing > 0)
        later = soon.order[later[soon.order]]
        issued = np.concatenate([fetch, later])
        worth = _worth(view, issued, missing[issued], links, links.host_bytes_per_s)
        later = later[worth[len(fetch) :]]
        fetched[later] = True
        belongs = (device.chosen | soon.chosen) & ~crowd
        useless = absent & ~fixed & ~belongs & (view.coming == Tier.DEVICE)
        useless |= absent & ~fixed & ~host.chosen & (view.coming == Tier.HOST)
        useless[retire] = useless[stage] = False
        in_host = useless & (view.host_bytes > 0)
        return _in_order(
            _Moves(np.flatnonzero(useless & ~in_host), Verb.DEMOTE, Tier.STORAGE),
            _Moves(np.flatnonzero(in_host), Verb.DEMOTE, Tier.HOST),
            _Moves(retire, Verb.DEMOTE, Tier.STORAGE),
            _Moves(demote[~kept_in_host[demote]], Verb.DEMOTE, Tier.STORAGE),
            _Moves(demote[kept_in_host[demote]], Verb.DEMOTE, Tier.HOST),
            _Moves(fetch, Verb.PREFETCH, Tier.DEVICE),
            _Moves(later, Verb.PREFETCH, Tier.DEVICE),
            _Moves(stage[~fetched[stage]], Verb.PREFETCH, Tier.HOST),
        )

    def _fill(
        self,
        view: View,
        fixed: NDArray[np.bool_],
        distance: Distances,
        resident: NDArray[np.int64],
        budget: int,
        to_come: int = 0,
    ) -> _Filling:
        """Decide who belongs in a tier: as many as fit, in order.

        Rows that are too large, or past their simulation's quota, are skipped. Bytes that are to
        come free hold more rows, and give no simulation a larger share.
        """
        near = distance - np.where(resident > 0, np.float32(self._margin_steps), np.float32(0))
        near[fixed] = -np.inf
        rows = ranked(view, near, fixed, resident, budget)
        sizes = view.total_bytes[rows]
        past = over_quota(view.simulation[rows], sizes, budget, view.quota)
        fitting = rows[fixed[rows] | ((sizes <= budget) & ~past)]
        chosen = np.zeros(len(fixed), np.bool_)
        chosen[fitting[np.cumsum(view.total_bytes[fitting]) <= budget + to_come]] = True
        return _Filling(rows, chosen, resident, budget - int(resident.sum()))

    def _exchange(
        self,
        view: View,
        tier: _Filling,
        wanted: NDArray[np.bool_],
        missing: NDArray[np.int64],
        movable: NDArray[np.bool_],
        links: Links,
        bytes_per_s: float,
    ) -> tuple[Rows, Rows]:
        """Return rows to bring into a tier, nearest first, and rows that make room for them.

        Brings in what fits after everything movable left, moves out no more than that needs.
        """
        incoming = tier.order[(wanted & (missing > 0))[tier.order]]
        incoming = incoming[_worth(view, incoming, missing[incoming], links, bytes_per_s)]
        outgoing = tier.order[(movable & (tier.resident > 0))[tier.order]][::-1]
        need = np.cumsum(missing[incoming])
        room = np.cumsum(tier.resident[outgoing])
        incoming = incoming[need <= tier.free + (room[-1] if len(room) else 0)]
        shortage = int(need[len(incoming) - 1]) - tier.free if len(incoming) else 0
        leaving = int(np.searchsorted(room, shortage)) + 1 if shortage > 0 else 0
        return incoming, outgoing[:leaving]


def _crowd(view: View, fixed: NDArray[np.bool_], device_bytes: int) -> NDArray[np.bool_]:
    """Return rows that may all be asked for now, nobody knows which first, and do not fit."""
    tied = (view.distance == 0) & ~fixed
    crowded = int(view.total_bytes[tied].sum()) > device_bytes
    return tied if crowded else np.zeros(len(tied), np.bool_)


def _worth(
    view: View, rows: Rows, missing: NDArray[np.int64], links: Links, bytes_per_s: float
) -> NDArray[np.bool_]:
    step_s = view.step_s[view.simulation[rows]]
    return links.worth_fetching(view.distance[rows], missing, bytes_per_s, step_s)


class _Filling(NamedTuple):
    """Who competes for a tier (best first), who belongs in it, what is in it, bytes left."""

    order: Rows
    chosen: NDArray[np.bool_]
    resident: NDArray[np.int64]
    free: int


class _Moves(NamedTuple):
    rows: Rows
    verb: Verb
    tier: Tier


def _in_order(*groups: _Moves) -> Plan:
    counts = [len(group.rows) for group in groups]
    return Plan(
        rows=np.concatenate([group.rows for group in groups]),
        verbs=np.repeat(np.array([group.verb for group in groups], np.uint8), counts),
        tiers=np.repeat(np.array([group.tier for group in groups], np.uint8), counts),
    )
