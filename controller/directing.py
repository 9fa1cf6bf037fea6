"""From the agent table to one replica's directives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.agents import AgentTable
from controller.keyindex import Rows
from controller.replicas import Replica
from policies.base import Plan, Planner, View
from scalesim.vocabulary import Distances, Moves, Nearness, Verb

ANSWER_S = 2.0
"""A move whose residency was not reported for this long is asked for again: it is idempotent, and
a fetch takes far less."""

SLACK = np.float32(1 / 8)
"""Distances are pushed again once they moved by this share: always for the next 8 steps, ever
less often for those ahead, which keeps a step of a million agents from being a million pushes."""

NO_ORDER = 0


def nearness(
    table: AgentTable, replica: Replica, rows: Rows, distance: Distances
) -> tuple[Nearness, ...]:
    """Return the distances the replica does not know yet and note them as told.

    Payloads that moved elsewhere are forgotten first.

    Args:
        table: Agent table; writes `told`.
        replica: Whose; empties `left`.
        rows: int32[n], its payloads.
        distance: float32[n], their distances now.
    """
    told = table.told[rows]
    with np.errstate(invalid="ignore"):
        close = np.abs(distance - told) <= np.minimum(distance, told) * SLACK
    changed = (distance != told) & ~close
    rows, distance = rows[changed], distance[changed]
    table.told[rows] = distance
    left, replica.left = replica.left, {}
    pushes = []
    for kind, name in enumerate(table.kinds):
        gone = np.concatenate([np.empty(0, np.int64), *left.get(kind, [])])
        here = table.kind[rows] == kind
        if name in replica.kinds and (gone.size or here.any()):
            keys = np.concatenate([gone, table.key[rows[here]]])
            steps = np.concatenate([np.full(gone.size, np.inf, np.float32), distance[here]])
            pushes.append(Nearness(name, keys, steps))
    return tuple(pushes)


def moves(
    table: AgentTable,
    replica: Replica,
    rows: Rows,
    distance: Distances,
    planner: Planner,
    now: float,
) -> tuple[Moves, ...]:
    """Return the moves worth making that the replica was not already asked for.

    Args:
        table: Agent table; writes `told_pin` and the `ordered` columns.
        replica: Whose; it has attached.
        rows: int32[n], its payloads.
        distance: float32[n], their distances now.
        planner: Decides between the tiers; pins and drops are the simulations' own wish.
        now: Seconds.
    """
    movable = [number for number, name in enumerate(table.kinds) if name in replica.kinds]
    if len(movable) < len(table.kinds):
        mine = np.isin(table.kind[rows], movable)
        rows, distance = rows[mine], distance[mine]
    _forget_unanswered(table, rows, now)
    wished, wishes = _wishes(table, rows)
    planned, plan = _planned(table, replica, rows, distance, planner)
    rows = np.concatenate([wished, planned])
    verbs = np.concatenate([wishes, plan.verbs])
    tiers = np.concatenate([np.zeros(wished.size, np.uint8), plan.tiers])
    asked = (table.ordered[rows] == verbs) & (table.ordered_tier[rows] == tiers)
    rows, verbs, tiers = rows[~asked], verbs[~asked], tiers[~asked]
    lasting = (verbs != Verb.PIN) & (verbs != Verb.UNPIN)
    table.ordered[rows[lasting]] = verbs[lasting]
    table.ordered_tier[rows[lasting]] = tiers[lasting]
    table.ordered_at[rows[lasting]] = now
    return tuple(
        Moves(table.kinds[kind], verbs[of_kind], table.key[rows[of_kind]], tiers[of_kind])
        for kind in movable
        if (of_kind := table.kind[rows] == kind).any()
    )


def answers_due(table: AgentTable, rows: Rows) -> float:
    """Return seconds at which the first unanswered move among `rows` is to be asked for again."""
    open_ = rows[table.ordered[rows] != NO_ORDER]
    return float(table.ordered_at[open_].min()) + ANSWER_S if open_.size else np.inf


def _forget_unanswered(table: AgentTable, rows: Rows, now: float) -> None:
    late = (table.ordered[rows] != NO_ORDER) & (table.ordered_at[rows] <= now - ANSWER_S)
    table.ordered[rows[late]] = NO_ORDER


def _wishes(table: AgentTable, rows: Rows) -> tuple[Rows, NDArray[np.uint8]]:
    """Return what simulations asked for: unpins, drops of agents that are done, then pins."""
    pinned, told = table.pinned[rows], table.told_pin[rows]
    unpin = rows[told & ~pinned]
    pin = rows[pinned & ~told]
    table.told_pin[unpin] = False
    table.told_pin[pin] = True
    held = table.resident(rows) & ~table.in_use[rows]
    drop = rows[table.done[rows] & held]
    verbs = np.repeat(
        np.array([Verb.UNPIN, Verb.DROP, Verb.PIN], np.uint8), [unpin.size, drop.size, pin.size]
    )
    return np.concatenate([unpin, drop, pin]), verbs


def _planned(
    table: AgentTable, replica: Replica, rows: Rows, distance: Distances, planner: Planner
) -> tuple[Rows, Plan]:
    assert replica.budgets is not None
    wanted = np.isfinite(distance) | table.resident(rows) | table.pinned[rows]
    known = wanted & (table.total_bytes[rows] > 0) & ~table.done[rows]
    rows = rows[known]
    view = View(
        distance=distance[known],
        last_used=table.last_used[rows],
        total_bytes=table.total_bytes[rows],
        device_bytes=table.device_bytes[rows],
        host_bytes=table.host_bytes[rows],
        storage_bytes=table.storage_bytes[rows],
        in_use=table.in_use[rows],
        pinned=table.pinned[rows],
        simulation=table.simulation[rows],
        kind=table.kind[rows].astype(np.int32),
    )
    plan = planner.plan(view, replica.budgets)
    return rows[plan.rows], plan
