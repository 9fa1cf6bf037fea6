"""The controller's state in words and numbers, for people and dashboards."""

from __future__ import annotations

from typing import Any

import numpy as np

from controller.agents import AgentTable
from controller.replicas import Replicas
from controller.simulations import Simulations
from scalesim.vocabulary import Tier


def agents(table: AgentTable, simulations: Simulations) -> dict[str, int]:
    """Return how many agents have their state in each tier at best."""
    device, host = table.device_bytes > 0, table.host_bytes > 0
    storage = table.storage_bytes > 0
    held = {
        "device": int(np.count_nonzero(device)),
        "host": int(np.count_nonzero(host & ~device)),
        "storage": int(np.count_nonzero(storage & ~host & ~device)),
    }
    distance = table.distances(np.flatnonzero(table.live).astype(np.int32), simulations.epochs)
    return {
        "total": len(table),
        **held,
        "absent": len(table) - sum(held.values()),
        "in_use": int(np.count_nonzero(table.in_use)),
        "pinned": int(np.count_nonzero(table.pinned)),
        "with_distance": int(np.count_nonzero(np.isfinite(distance))),
    }


def replicas(table: AgentTable, replicas: Replicas, now: float) -> dict[str, dict[str, Any]]:
    """Return, by name, what each replica holds and whether it is heard of."""
    placed = table.replica >= 0
    home = table.replica[placed]
    agents = np.bincount(home, minlength=len(replicas.numbers))
    held = {
        tier: np.bincount(home, getattr(table, tier)[placed], len(replicas.numbers))
        for tier in ("device_bytes", "host_bytes", "storage_bytes")
    }
    return {
        replica.name: {
            "attached": replica.budgets is not None,
            "agents": int(agents[replica.number]),
            **{tier: int(sizes[replica.number]) for tier, sizes in held.items()},
            "budgets": replica.budgets._asdict() if replica.budgets else None,
            "sequence": replica.sequence,
            "awaiting_ack": replica.outbox is not None,
            "silent_s": max(now - replica.seen_at, 0.0),
            "flows": {kind: flow._asdict() for kind, flow in replica.flows.items()},
        }
        for replica in replicas
    }


def simulations(
    table: AgentTable, simulations: Simulations, now: float
) -> dict[str, dict[str, Any]]:
    """Return, by name, the epoch and the agents of each living simulation."""
    counts = np.bincount(table.simulation[table.live], minlength=len(simulations.names))
    return {
        lease.name: {
            "epoch": lease.epoch,
            "agents": int(counts[lease.number]),
            "silent_s": max(now - lease.seen_at, 0.0),
        }
        for lease in simulations
    }


def agent(
    table: AgentTable, simulations: Simulations, replicas: Replicas, row: int
) -> dict[str, Any]:
    """Return what is known of the agent in one row."""
    sizes = {
        Tier.DEVICE: int(table.device_bytes[row]),
        Tier.HOST: int(table.host_bytes[row]),
        Tier.STORAGE: int(table.storage_bytes[row]),
    }
    held = [tier for tier, size in sizes.items() if size]
    distance = float(table.distances(np.array([row], np.int32), simulations.epochs)[0])
    replica = int(table.replica[row])
    return {
        "key": int(table.key[row]),
        "simulation": simulations.names[int(table.simulation[row])],
        "replica": replicas.numbers[replica] if replica >= 0 else None,
        "residency": max(held, default=Tier.ABSENT).name.lower(),
        "distance": distance if np.isfinite(distance) else None,
        "total_bytes": int(table.total_bytes[row]),
        **{f"{tier.name.lower()}_bytes": size for tier, size in sizes.items()},
        "in_use": bool(table.in_use[row]),
        "pinned": bool(table.pinned[row]),
    }
