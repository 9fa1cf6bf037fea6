"""Turns the payload table into directives for one replica: distances, pins, drops and moves."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.controller_status import Counters
from scalesim.controller.key_index import Rows
from scalesim.controller.learned_distances import LearnedDistances
from scalesim.controller.payload_table import PayloadTable
from scalesim.controller.replicas import AttachedReplica, Replicas
from scalesim.controller.simulations import Simulations
from scalesim.policies.planning import Planner, View
from scalesim.policies.shares import fair_distances
from scalesim.vocabulary import PREFIX, Budgets, Directives, Distances, DistanceUpdate, Moves, Verb

ANSWER_S = 2.0
"""A move whose residency was not reported for this long is asked for again: it is idempotent, and
a fetch takes far less."""

_SLACK = np.float32(1 / 8)
"""Distances are pushed again once they moved by more than this share: always for the next 8 steps,
ever less often for those ahead, so that a step of a million agents is not a million pushes."""

_NO_MOVE = 0  # in column `pending_action`: no move is unanswered


class DirectivePlanner:
    """Makes directives and puts them into the replicas' outboxes.

    Args:
        table: Payload table; what replicas were sent and asked for is written there.
        simulations: Their epochs are the clock.
        replicas: Their marks of changed plans are cleared.
        learning: Fills in distances that were not reported.
        planner: Decides what belongs in which tier.
        counters: Counts plans.
    """

    def __init__(
        self,
        table: PayloadTable,
        simulations: Simulations,
        replicas: Replicas,
        learning: LearnedDistances,
        planner: Planner,
        counters: Counters,
    ) -> None:
        self._table = table
        self._simulations = simulations
        self._replicas = replicas
        self._learned = learning
        self._planner = planner
        self._counters = counters

    def plan(self, replica: AttachedReplica, incarnation: int, now: float) -> bool:
        """Plan for a replica with an empty outbox; return whether there is something in it now."""
        started = time.perf_counter()
        self._replicas.changed[replica.number] = False
        rows = self._table.rows_on(replica.number)
        reported = self._table.distances(rows, self._simulations.turns)
        distance = self._learned.fill(rows, reported)
        pushed = distance_updates(self._table, self._simulations, replica, rows, distance)
        moved = moves(self._table, self._simulations, replica, rows, distance, self._planner, now)
        if pushed or moved:
            replica.sequence += 1
            replica.made_at = now
            replica.outbox = Directives(
                incarnation, replica.sequence, distance_updates=pushed, moves=moved
            )
        self._counters.planned(time.perf_counter() - started, moved)
        return replica.outbox is not None


class RowMoves(NamedTuple):
    """Moves over rows of the table: verbs uint8[n] and target tiers uint8[n]."""

    rows: Rows
    verbs: NDArray[np.uint8]
    tiers: NDArray[np.uint8]


def distance_updates(
    table: PayloadTable,
    simulations: Simulations,
    replica: AttachedReplica,
    rows: Rows,
    distance: Distances,
) -> tuple[DistanceUpdate, ...]:
    """Return the distances the replica does not know yet, and mark them as sent.

    It evicts by them, so those past their simulation's fair share of the device are put behind.
    Payloads that moved elsewhere are forgotten first.

    Args:
        table: Payload table; writes `sent_distance`.
        simulations: Their quotas hold.
        replica: The replica that is sent them; its `left` is emptied.
        rows: int64[n], its payloads.
        distance: float32[n], their distances now.
    """
    simulation = table.simulation[table.agents(rows)]
    distance = fair_distances(
        distance,
        table.total_bytes[rows],
        simulation,
        replica.budgets.device_bytes,
        simulations.quota,
    )
    sent = table.sent_distance[rows]
    with np.errstate(invalid="ignore"):  # inf - inf
        close = np.abs(distance - sent) <= np.minimum(distance, sent) * _SLACK
    changed = (distance != sent) & ~close
    rows, distance = rows[changed], distance[changed]
    table.sent_distance[rows] = distance
    kinds = table.kind[rows]
    left, replica.left = replica.left, {}
    pushes = []
    for kind, name in enumerate(table.kinds):
        gone = np.concatenate([np.empty(0, np.int64), *left.get(kind, [])])
        here = kinds == kind
        if name in replica.kinds and (gone.size or here.any()):
            keys = np.concatenate([gone, table.key[rows[here]]])
            steps = np.concatenate([np.full(gone.size, np.inf, np.float32), distance[here]])
            pushes.append(DistanceUpdate(name, keys, steps))
    return tuple(pushes)


def moves(
    table: PayloadTable,
    simulations: Simulations,
    replica: AttachedReplica,
    rows: Rows,
    distance: Distances,
    planner: Planner,
    now: float,
) -> tuple[Moves, ...]:
    """Return the moves worth making that the replica was not already asked for.

    Args:
        table: Payload table; writes `sent_pin` and the `pending_action` columns.
        simulations: Their quotas, and the seconds of their steps.
        replica: The replica that is planned for; its `replan_at` is set.
        rows: int64[n], its payloads.
        distance: float32[n], their distances now.
        planner: Decides between the tiers; pins and drops come from the simulations.
        now: Seconds.
    """
    movable = [number for number, name in enumerate(table.kinds) if name in replica.kinds]
    if len(movable) < len(table.kinds):
        mine = np.isin(table.kind[rows], movable)
        rows, distance = rows[mine], distance[mine]
    unanswered = rows[table.pending_action[rows] != _NO_MOVE]
    table.pending_action[unanswered[table.pending_since[unanswered] <= now - ANSWER_S]] = _NO_MOVE
    pins = _pins(table, rows)
    drops = _new_moves(table, _drops(table, rows), now)
    parts = [pins, drops]
    for kind, here, budgets in _pools(table, replica, rows):
        view = _view(table, simulations, rows[here], distance[here])
        plan = planner.plan(view.payloads, budgets, replica.meters[kind].links)
        planned = RowMoves(view.rows[plan.rows], plan.verbs, plan.tiers)
        parts.append(_new_moves(table, planned, now))
    open_ = rows[table.pending_action[rows] != _NO_MOVE]
    replica.replan_at = (
        float(table.pending_since[open_].min()) + ANSWER_S if open_.size else math.inf
    )
    issued = RowMoves(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.verbs for part in parts]),
        np.concatenate([part.tiers for part in parts]),
    )
    kinds = table.kind[issued.rows]
    return tuple(
        Moves(
            table.kinds[kind], issued.verbs[here], table.key[issued.rows[here]], issued.tiers[here]
        )
        for kind in movable
        if (here := kinds == kind).any()
    )


def _pools(
    table: PayloadTable, replica: AttachedReplica, rows: Rows
) -> list[tuple[str, NDArray[np.bool_] | slice, Budgets]]:
    """Return what is planned together: payload kind, rows that compete, and the budgets they share.

    Where all kinds share the bytes, the links are those of the largest: prefixes.
    """
    if not replica.kind_budgets:
        return [(PREFIX, slice(None), replica.budgets)]
    kinds = table.kind[rows]
    return [
        (kind, kinds == table.kinds.number(kind), budgets)
        for kind, budgets in zip(replica.kinds, replica.kind_budgets, strict=True)
    ]


def _pins(table: PayloadTable, rows: Rows) -> RowMoves:
    """Return the unpins and pins the replica was not sent yet, and mark them as sent."""
    pinned = table.pinned[table.agents(rows)]
    changed = np.flatnonzero(pinned != table.sent_pin[rows])
    changed = changed[np.argsort(pinned[changed], kind="stable")]  # unpins make room for pins
    rows, pinned = rows[changed], pinned[changed]
    table.sent_pin[rows] = pinned
    verbs = np.where(pinned, Verb.PIN, Verb.UNPIN).astype(np.uint8)
    return RowMoves(rows, verbs, np.zeros(rows.size, np.uint8))


def _drops(table: PayloadTable, rows: Rows) -> RowMoves:
    """Return drops of the state of agents that are done."""
    rows = rows[table.finished[table.agents(rows)]]
    rows = rows[table.resident(rows) & ~table.in_use[rows]]
    return RowMoves(rows, np.full(rows.size, Verb.DROP, np.uint8), np.zeros(rows.size, np.uint8))


class _Viewed(NamedTuple):
    """What the planner sees, and the rows of the table that it is of."""

    rows: Rows
    payloads: View


def _view(
    table: PayloadTable, simulations: Simulations, rows: Rows, distance: Distances
) -> _Viewed:
    """Return the payloads whose size is known and whose agent is not done."""
    agents = table.agents(rows)
    known = (table.total_bytes[rows] > 0) & ~table.finished[agents]
    if not known.all():
        rows, agents, distance = rows[known], agents[known], distance[known]
    payloads = View(
        distance=distance,
        last_used=table.last_used[rows],
        total_bytes=table.total_bytes[rows],
        device_bytes=table.device_bytes[rows],
        host_bytes=table.host_bytes[rows],
        storage_bytes=table.storage_bytes[rows],
        in_use=table.in_use[rows],
        pinned=table.pinned[agents],
        simulation=table.simulation[agents],
        kind=table.kind[rows].astype(np.int32),
        coming=np.where(table.pending_action[rows] == Verb.PREFETCH, table.pending_tier[rows], 0),
        step_s=simulations.step_s,
        quota=simulations.quota,
    )
    return _Viewed(rows, payloads)


def _new_moves(table: PayloadTable, moves: RowMoves, now: float) -> RowMoves:
    """Return the moves that the replica has not been sent already, and note them."""
    rows, verbs, tiers = moves
    new = (table.pending_action[rows] != verbs) | (table.pending_tier[rows] != tiers)
    rows, verbs, tiers = rows[new], verbs[new], tiers[new]
    table.pending_action[rows] = verbs
    table.pending_tier[rows] = tiers
    table.pending_since[rows] = now
    return RowMoves(rows, verbs, tiers)
