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
    rows = np.flatnonzero(table.live)
    device, host = table.device_bytes[rows] > 0, table.host_bytes[rows] > 0
    storage = table.storage_bytes[rows] > 0
    distance = table.distances(rows.astype(np.int32), simulations.epochs)
    return {
        "total": rows.size,
        "device": int(device.sum()),
        "host": int((host & ~device).sum()),
        "storage": int((storage & ~host & ~device).sum()),
        "absent": int((~storage & ~host & ~device).sum()),
        "in_use": int(table.in_use[rows].sum()),
        "pinned": int(table.pinned[rows].sum()),
        "with_distance": int(np.isfinite(distance).sum()),
    }


def replicas(table: AgentTable, replicas: Replicas, now: float) -> dict[str, dict[str, Any]]:
    """Return, by name, what each replica holds and whether it is heard of."""
    return {
        replica.name: {
            "attached": replica.budgets is not None,
            "agents": (rows := table.rows_on(replica.number)).size,
            "device_bytes": int(table.device_bytes[rows].sum()),
            "host_bytes": int(table.host_bytes[rows].sum()),
            "storage_bytes": int(table.storage_bytes[rows].sum()),
            "budgets": replica.budgets._asdict() if replica.budgets else None,
            "sequence": replica.sequence,
            "awaiting_ack": replica.outbox is not None,
            "silent_s": max(now - replica.seen_at, 0.0),
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
