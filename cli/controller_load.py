"""The control plane under load: the real controller, and replicas that obey at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from scalesim.controller.core import Controller
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import (
    PREFIX,
    Budgets,
    Distances,
    Keys,
    ReplicaInfo,
    Residency,
    Tier,
    Verb,
)

BATCH = 10_000
PAYLOAD_BYTES = 128 * 2**20
DEVICE_SHARE, HOST_SHARE = 0.02, 0.1
"""Shares of all payloads that fit on the devices and in host memory; storage holds everyone."""


def measure(agents: int, replicas: int, rounds: int, seed: int) -> dict[str, Any]:
    """Return updates a second, seconds to plan every replica once, and bytes an agent.

    In each step all agents report, a tenth of them with a new distance; a plan is timed from the
    last report to the last directive. `argpartition_s` is the same machine's time to find the
    nearest 256 of all distances, measured in the same rounds.
    """
    rng = np.random.default_rng(seed)
    keys = rng.integers(-(2**63), 2**63 - 1, agents)
    distances = rng.exponential(50.0, agents).astype(np.float32)
    settings = ControllerSettings(max_agents=2 * agents, replica_lease_s=1e9)
    controller = Controller(settings, CatalogSettings(), DistancePlanner(), rendezvous)
    fleet = _Fleet(controller, keys, [f"replica-{number}" for number in range(replicas)])
    _report(controller, 0, keys, distances)
    fleet.fill(distances)

    updates_s, plans_s, partitions_s = [], [], []
    for epoch in range(1, rounds + 1):
        distances = np.maximum(distances - 1, 0)
        acted = rng.choice(agents, agents // 10, replace=False)
        distances[acted] = rng.exponential(50.0, len(acted))
        updates_s.append(_timed(_report, controller, epoch, keys, distances))
        plans_s.append(_timed(controller.plan))
        partitions_s.append(_timed(np.argpartition, distances, 256))
        fleet.obey()
    argpartition_s = float(np.median(partitions_s))
    p50, p99 = (float(value) for value in np.percentile(plans_s, [50, 99]))
    return {
        "updates_per_s": agents / float(np.median(updates_s)),
        "plan_s": {"p50": p50, "p99": p99},
        "argpartition_s": argpartition_s,
        "plan_over_argpartition": p50 / argpartition_s,
        "bytes_per_agent": controller.status()["table_bytes"] / agents,
    }


def _report(controller: Controller, epoch: int, keys: Keys, distances: Distances) -> None:
    for start in range(0, len(keys), BATCH):
        part = slice(start, start + BATCH)
        controller.report("bench", epoch, keys[part], distances[part])


def _timed(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


class _Fleet:
    """Simulated replicas: they carry out directives immediately and report residency.

    Args:
        controller: To obey.
        keys: int64[n], all payloads; each lives on its hashed replica.
        names: Names of the replicas, sorted.
    """

    def __init__(self, controller: Controller, keys: Keys, names: list[str]) -> None:
        self._controller = controller
        self._names = sorted(names)
        total_bytes = len(keys) // len(names) * PAYLOAD_BYTES
        budgets = Budgets(
            int(total_bytes * DEVICE_SHARE), int(total_bytes * HOST_SHARE), 2 * total_bytes
        )
        for name in self._names:
            controller.attach(ReplicaInfo(name, budgets, (PREFIX,)))
        self._sorted = np.argsort(keys)
        self._keys = keys[self._sorted]
        self._home = rendezvous(self._keys, self._names)
        self._tier = np.full(len(keys), Tier.STORAGE, np.uint8)

    def fill(self, distances: Distances) -> None:
        """Begin with the nearest on the device and the next ones in host memory."""
        near = distances[self._sorted]
        device, host = np.quantile(near, [0.8 * DEVICE_SHARE, 0.8 * HOST_SHARE])
        self._tier[near < host] = Tier.HOST
        self._tier[near < device] = Tier.DEVICE
        for number, name in enumerate(self._names):
            self._tell(name, np.flatnonzero(self._home == number))
        self._controller.plan()
        self.obey()

    def obey(self) -> None:
        """Carry out and acknowledge every replica's directives."""
        for name in self._names:
            directives = self._controller.poll(name, self._controller.incarnation, 0)
            if directives is None:
                continue
            for moves in directives.moves:
                rows = np.searchsorted(self._keys, moves.keys)
                moved = np.isin(moves.verbs, [Verb.PREFETCH, Verb.DEMOTE])
                self._tier[rows[moved]] = moves.tiers[moved]
                self._tell(name, rows[moved])
            self._controller.poll(name, self._controller.incarnation, directives.sequence)

    def _tell(self, name: str, rows: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        size = np.full(len(rows), PAYLOAD_BYTES, np.int64)
        tier = self._tier[rows]
        message = Residency(
            PREFIX,
            self._keys[rows],
            device_bytes=np.where(tier == Tier.DEVICE, size, 0),
            host_bytes=np.where(tier >= Tier.HOST, size, 0),
            storage_bytes=size,
            total_bytes=size,
            in_use=np.zeros(len(rows), np.bool_),
        )
        self._controller.residency(name, self._controller.incarnation, (message,))
