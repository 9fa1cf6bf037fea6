"""Payloads that requests came to use: were the hints right, and who would have had their state?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.key_index import Rows
from scalesim.controller.payload_table import AGENTS, PayloadTable
from scalesim.controller.replicas import Replicas
from scalesim.controller.simulations import Simulations
from scalesim.policies.shadow_devices import ShadowDevices
from scalesim.vocabulary import Distances, Keys, Tier

_COUNTED_UP_TO = {"0": 0.0, "1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0, "16": 16.0, "more": 2.0**63}
"""Largest distance counted under each name; what is beyond the last was not foreseen at all."""

_BOUNDS = np.array(list(_COUNTED_UP_TO.values()))

_LATEST = 0.05  # weight of the latest sizes in their mean

_SCORED = 64  # requests a tick: two milliseconds; what comes faster is not sampled


class HintStatistics:
    """Counts uses by what was reported of them; keeps a sample for the shadow devices.

    Args:
        table: Payload table; not modified.
        simulations: Their epochs are the clock.
        replicas: Their devices together are the capacity of the shadow devices.
    """

    def __init__(self, table: PayloadTable, simulations: Simulations, replicas: Replicas) -> None:
        self._table = table
        self._simulations = simulations
        self._replicas = replicas
        self._uses = dict.fromkeys((*_COUNTED_UP_TO, "none"), 0)
        self._found: dict[str, dict[str, int]] = {}
        self._hints = {"early_steps": 0.0, "late_steps": 0.0, "age_steps": 0.0}
        self._shadow = ShadowDevices()
        self._mean_bytes = 0.0
        self._waiting: list[Keys] = []
        self._held: list[NDArray[np.float64]] = []

    def observe(self, used: Rows, reported: Distances) -> None:
        """Count payloads that came into use, before their new residency is taken over.

        Args:
            used: int64[n] of one kind, in order.
            reported: float32[n], their reported distances; all 0 if hints were perfect.
        """
        if not used.size:
            return
        table = self._table
        places = np.searchsorted(_BOUNDS, reported)
        counts = np.bincount(places, minlength=len(self._uses)).tolist()
        for name, count in zip(self._uses, counts, strict=True):
            self._uses[name] += count
        self._compare(table.agents(used[np.isfinite(reported)]))
        self._find(used)
        used = used[(table.kind[used] == AGENTS) & (table.total_bytes[used] > 0)]
        if used.size:
            total = table.total_bytes[used]
            weight = _LATEST if self._mean_bytes else 1.0
            self._mean_bytes += weight * (float(total.mean()) - self._mean_bytes)
            self._waiting.append(table.key[used])
            self._held.append(np.minimum(table.device_bytes[used] / total, 1.0))

    def score(self) -> None:
        """Show the shadow devices the requests since the last time; bounded work."""
        if self._waiting:
            keys, held = np.concatenate(self._waiting), np.concatenate(self._held)
            self._waiting, self._held = [], []
            self._shadow.observe(keys[:_SCORED], held[:_SCORED], self._capacity())

    def status(self) -> dict[str, Any]:
        """Return uses by reported distance, by kind and tier; errors of hints; shadows' shares."""
        return {
            "uses": dict(self._uses),
            "found": {kind: dict(tiers) for kind, tiers in self._found.items()},
            "hints": dict(self._hints),
            "hits": self._shadow.hit_shares,
        }

    def _compare(self, agents: Rows) -> None:
        """Sum up by how much the hints of agents that ask now were wrong, and how old they are."""
        table = self._table
        now = self._simulations.epochs[table.simulation[agents]]
        late = now - table.due[agents]
        self._hints["early_steps"] -= float(late.clip(max=0).sum())
        self._hints["late_steps"] += float(late.clip(min=0).sum())
        age = now - table.reported[agents]
        self._hints["age_steps"] += float(age[np.isfinite(age)].sum())

    def _find(self, used: Rows) -> None:
        """Count payloads by the hottest tier that had something of them."""
        table = self._table
        columns = table.storage_bytes, table.host_bytes, table.device_bytes
        tier = np.zeros(used.size, np.int64)
        for number, column in enumerate(columns, start=1):
            tier[column[used] > 0] = number
        kind = table.kinds[int(table.kind[used[0]])]
        found = self._found.setdefault(kind, {tier.name.lower(): 0 for tier in reversed(Tier)})
        for each, count in zip(Tier, np.bincount(tier, minlength=len(Tier)).tolist(), strict=True):
            found[each.name.lower()] += count

    def _capacity(self) -> float:
        """Return how many agents' prefixes fit on all devices."""
        return self._replicas.prefix_device_bytes / self._mean_bytes
