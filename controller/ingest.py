"""What simulations and replicas may write into the payload table, and how."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.key_index import MISSING, Rows
from scalesim.controller.payload_table import AGENTS, PayloadTable, TurnsBegun
from scalesim.controller.placements import Placements
from scalesim.controller.replicas import ReplicaRecord
from scalesim.controller.simulations import NO_SIMULATION, Simulations
from scalesim.vocabulary import PREFIX, Distances, Keys, Residency

_FARTHEST = np.float32(2**40)  # steps; anything farther means the same


def claim(
    table: PayloadTable,
    placements: Placements,
    simulation: int,
    keys: Keys,
    room: int,
    quota: int | None = None,
) -> Rows:
    """Return int64[n] rows of the agents a simulation speaks for, -1 where it may not.

    Unknown agents are added while there is room, those without a simulation become its own; those
    of another simulation are refused.

    Args:
        table: Payload table.
        placements: Where agents are.
        simulation: Its number.
        keys: int64[n], of agents.
        room: Agents that may be added to the table.
        quota: Agents that may become the simulation's own; None for all.
    """
    rows = table.find(AGENTS, keys)
    new = np.flatnonzero(rows == MISSING)
    if new.size:
        new = new[: max(room if quota is None else min(room, quota), 0)]
        rows[new] = placements.admit(AGENTS, keys[new])
    owner = table.simulation[rows]
    if not (owner == simulation).all():
        unowned = rows[(owner == NO_SIMULATION) & (rows != MISSING)]
        taken = unowned if quota is None else unowned[: max(quota, 0)]
        table.simulation[taken] = simulation
        table.dirty[taken] = True
        rows[table.simulation[rows] != simulation] = MISSING
    return rows


def store_distances(
    table: PayloadTable,
    rows: Rows,
    turns: TurnsBegun,
    epoch: int,
    distances: Distances,
    expires_in: float | None,
    ttl_steps: float,
) -> None:
    """Write the distances that a simulation reports; agents that had finished live again.

    The catalog has to learn only what says something new: most of what is reported step by step
    falls due when it was said to before.

    Args:
        table: Payload table.
        rows: int64[n]; the last of repeated ones counts.
        turns: How far the simulations are.
        epoch: Step of the report.
        distances: float32[n], none negative or NaN; inf forgets.
        expires_in: Steps from now after which they are forgotten.
        ttl_steps: Steps after the use they foresee, where `expires_in` is None.
    """
    far = (distances > _FARTHEST) & np.isfinite(distances)
    due = epoch + np.where(far, _FARTHEST, distances).astype(np.float64)
    is_new = np.isinf(table.distances(rows, turns)) | table.unannounced[rows]
    table.unannounced[rows] = is_new & (due < epoch + 1)
    table.reset(rows, "came")
    expires = due + ttl_steps if expires_in is None else np.full(rows.size, epoch + expires_in)
    table.dirty[rows[(table.due[rows] != due) | (table.expires[rows] != expires)]] = True
    table.due[rows] = due
    table.expires[rows] = expires
    table.reported[rows] = epoch
    table.finished[rows] = False


def coming_into_use(table: PayloadTable, rows: Rows, in_use: NDArray[np.bool_]) -> Rows:
    """Return those of known payloads that a request has just begun to use.

    Args:
        table: Payload table; not modified.
        rows: int64[n] of what a replica reports, -1 where it is not known.
        in_use: bool[n], as it reports.
    """
    started: Rows = rows[in_use & (rows != MISSING) & ~table.in_use[rows]]
    return started


def begin_turns(table: PayloadTable, simulations: Simulations, used: Rows, now: float) -> None:
    """Note whose use has come in the step that it was foreseen for, or late.

    Args:
        table: Payload table; writes `came`.
        simulations: Their turns go on.
        used: int64[n], payloads that came into use.
        now: Seconds.
    """
    agents = table.agents(used)
    epoch = simulations.epochs[table.simulation[agents]]
    is_due = table.due[agents] < epoch + 1
    agents = agents[is_due]
    table.came[agents] = epoch[is_due]
    simulations.begin_turns(table.simulation[agents], table.due[agents], now)


def observe(
    table: PayloadTable,
    placements: Placements,
    replica: ReplicaRecord,
    message: Residency,
    rows: Rows,
    now: float,
) -> None:
    """Take over where a replica says payloads of one kind are.

    A payload placed elsewhere moves to this replica if it is the only one that has it; otherwise
    the copy is left to the replica's own eviction, and so is what an agent left behind that was
    assigned elsewhere. One that was here by exception goes home once it left the device.

    Args:
        table: Payload table.
        placements: Where payloads are.
        replica: Who says so.
        message: Residency of n payloads.
        rows: int64[n] of them, -1 where one is not known.
        now: By the controller's clock.
    """
    if (rows == MISSING).any():
        held = message.device_bytes | message.host_bytes | message.storage_bytes
        worth = (held > 0) | message.in_use | (rows != MISSING)
        message = Residency(message.kind, *(column[worth] for column in message[1:]))
        rows = placements.admit(table.kinds.number(message.kind), message.keys)

    strays = table.replica[rows] != replica.number
    if strays.any():
        left_behind = table.assigned[table.agents(rows)] & ~message.in_use
        strays &= ((message.device_bytes > 0) & ~left_behind) | message.in_use
        strays &= ~table.resident(rows) & ~table.anchored(rows)
        placements.adopt(np.unique(rows[strays]), replica.number)
        mine = table.replica[rows] == replica.number
        rows = rows[mine]
        message = Residency(message.kind, *(column[mine] for column in message[1:]))

    if message.kind == PREFIX:  # one that agents share is in use from the first to the last
        replica.ended(now - table.last_used[rows[table.in_use[rows] & ~message.in_use]])
    table.last_used[rows[message.in_use | table.in_use[rows]]] = now
    table.in_use[rows] = message.in_use
    table.device_bytes[rows] = message.device_bytes
    table.host_bytes[rows] = message.host_bytes
    table.storage_bytes[rows] = message.storage_bytes
    sized = message.total_bytes > 0
    table.total_bytes[rows[sized]] = message.total_bytes[sized]
    table.answered(rows)
    table.dirty[rows] = True
    cooled = rows[table.exceptional[rows]]
    cooled = cooled[~table.anchored(cooled)]
    placements.send_home(np.unique(cooled))
