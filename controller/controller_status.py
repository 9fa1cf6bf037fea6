"""The controller's state and what it counts, for people and dashboards."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.controller_state import ControllerState
from scalesim.controller.payload_table import AGENTS
from scalesim.controller.replicas import AttachedReplica
from scalesim.vocabulary import PREFIX, TIERS, Moves, Tier, Verb


class RecentDurations:
    """The last thousand of many durations."""

    def __init__(self) -> None:
        self._seconds: NDArray[np.float64] = np.zeros(1024)
        self._count = 0

    def add(self, seconds: float) -> None:
        """Add a duration, in place of the oldest."""
        self._seconds[self._count % self._seconds.size] = seconds
        self._count += 1

    def percentiles(self) -> dict[str, float]:
        """Return median and 99th percentile; zeros while there is none."""
        p50, p99 = np.percentile(self._seconds[: max(1, self._count)], [50, 99])
        return {"p50": float(p50), "p99": float(p99)}


@dataclass(slots=True)
class Counters:
    """Totals since the controller started, and how long its last works took.

    Attributes:
        reports: Batches of distances taken.
        updates: Distances taken.
        ignored: Distances passed over: NaN, negative, another simulation's agent, table full.
        stale_reports: Batches refused for an older epoch.
        plans: Plans made, one replica each.
        resyncs: Polls answered with a request to attach again.
        replicas_lost: Replicas whose lease ran out.
        simulations_expired: Simulations whose lease ran out.
        directives: Moves sent, by verb.
        tick_times: Time of each tick.
        plan_times: Time of each plan.
        directive_times: Time from a plan to its replica's acknowledgement.
    """

    reports: int = 0
    updates: int = 0
    ignored: int = 0
    stale_reports: int = 0
    plans: int = 0
    resyncs: int = 0
    replicas_lost: int = 0
    simulations_expired: int = 0
    directives: dict[str, int] = field(
        default_factory=lambda: {verb.name.lower(): 0 for verb in Verb}
    )
    tick_times: RecentDurations = field(default_factory=RecentDurations)
    plan_times: RecentDurations = field(default_factory=RecentDurations)
    directive_times: RecentDurations = field(default_factory=RecentDurations)

    def planned(self, seconds: float, moves: tuple[Moves, ...]) -> None:
        """Count one plan."""
        self.plan_times.add(seconds)
        self.plans += 1
        for batch in moves:
            for verb, count in zip(*np.unique(batch.verbs, return_counts=True), strict=True):
                self.directives[Verb(verb).name.lower()] += int(count)

    def status(self) -> dict[str, Any]:
        """Return totals, moves by verb, and percentiles of the times."""
        totals = {name: n for name in self.__slots__ if isinstance(n := getattr(self, name), int)}
        return {
            "counters": totals,
            "directives": dict(self.directives),
            "tick_s": self.tick_times.percentiles(),
            "plan_s": self.plan_times.percentiles(),
            "directive_s": self.directive_times.percentiles(),
        }


def agents(state: ControllerState) -> dict[str, int]:
    """Return how many agents there are, by the hottest tier that holds some of their prefix."""
    table = state.table
    rows = np.flatnonzero(table.live & (table.kind == AGENTS))
    device, host = table.device_bytes[rows] > 0, table.host_bytes[rows] > 0
    storage = table.storage_bytes[rows] > 0
    held = {
        "device": int(np.count_nonzero(device)),
        "host": int(np.count_nonzero(host & ~device)),
        "storage": int(np.count_nonzero(storage & ~host & ~device)),
    }
    return {
        "total": len(rows),
        **held,
        "absent": len(rows) - sum(held.values()),
        "in_use": int(np.count_nonzero(table.in_use[rows])),
        "pinned": int(np.count_nonzero(table.pinned[rows])),
        "with_distance": int(
            np.count_nonzero(np.isfinite(table.distances(rows, state.simulations.turns)))
        ),
    }


def replicas(state: ControllerState, now: float) -> dict[str, dict[str, Any]]:
    """Return, by name, what each replica holds, also by kind, and whether it is heard of."""
    table, replicas = state.table, state.replicas
    placed = table.replica >= 0
    shape = len(replicas.numbers), len(table.kinds)
    cell = table.replica[placed].astype(np.int64) * shape[1] + table.kind[placed]

    def by_cell(weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return np.bincount(cell, weights, shape[0] * shape[1]).reshape(shape)

    payloads = by_cell()
    sizes = {tier: getattr(table, f"{tier}_bytes")[placed] for tier in TIERS}
    held = {tier: by_cell(size) for tier, size in sizes.items()}
    holders = {tier: by_cell(size > 0) for tier, size in sizes.items()}

    def of_kind(replica: int, kind: int) -> dict[str, int]:
        return {
            **{f"{tier}_bytes": int(held[tier][replica, kind]) for tier in TIERS},
            **{f"{tier}_agents": int(holders[tier][replica, kind]) for tier in TIERS},
        }

    def attachment(replica: AttachedReplica) -> dict[str, Any]:
        kinds = {kind: of_kind(replica.number, table.kinds.number(kind)) for kind in replica.kinds}
        return {
            "budgets": replica.budgets._asdict(),
            "kinds": kinds,
            "awaiting_ack": replica.outbox is not None,
            "metrics": replica.metrics,
        }

    return {
        replica.name: {
            "attached": isinstance(replica, AttachedReplica),
            "agents": int(payloads[replica.number, AGENTS]),
            **{f"{tier}_bytes": int(held[tier][replica.number].sum()) for tier in TIERS},
            "budgets": None,
            "kinds": {},
            "sequence": replica.sequence,
            "awaiting_ack": False,
            "silent_s": max(now - replica.seen_at, 0.0),
            "metrics": "",
            "links": asdict(replica.meters[PREFIX].links),
            "transfers": {kind: transfer._asdict() for kind, transfer in replica.transfers.items()},
            **(attachment(replica) if isinstance(replica, AttachedReplica) else {}),
        }
        for replica in replicas
    }


def simulations(state: ControllerState, now: float) -> dict[str, dict[str, Any]]:
    """Return, by name, the epoch and the agents of each living simulation."""
    table, simulations = state.table, state.simulations
    agents = table.live & (table.kind == AGENTS)
    counts = np.bincount(table.simulation[agents], minlength=len(simulations.names))
    return {
        lease.name: {
            "epoch": lease.epoch,
            "agents": int(counts[lease.number]),
            "step_s": lease.step_s,
            "silent_s": max(now - lease.seen_at, 0.0),
        }
        for lease in simulations
    }


def agent(state: ControllerState, row: int) -> dict[str, Any]:
    """Return what the controller knows about the agent in one row."""
    table, simulations, replicas = state
    sizes = {
        Tier.DEVICE: int(table.device_bytes[row]),
        Tier.HOST: int(table.host_bytes[row]),
        Tier.STORAGE: int(table.storage_bytes[row]),
    }
    held = [tier for tier, size in sizes.items() if size]
    distance = float(table.distances(np.array([row]), simulations.turns)[0])
    reported_in = float(table.reported[row])
    replica = int(table.replica[row])
    return {
        "key": int(table.key[row]),
        "simulation": simulations.names[int(table.simulation[row])],
        "replica": replicas.numbers[replica] if replica >= 0 else None,
        "residency": max(held, default=Tier.ABSENT).name.lower(),
        "distance": distance if np.isfinite(distance) else None,
        "reported_in": int(reported_in) if np.isfinite(reported_in) else None,
        "total_bytes": int(table.total_bytes[row]),
        **{f"{tier.name.lower()}_bytes": size for tier, size in sizes.items()},
        "in_use": bool(table.in_use[row]),
        "pinned": bool(table.pinned[row]),
    }
