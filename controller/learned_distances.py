"""Distances of agents that none is reported for, learned from the requests of their replicas."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.key_index import Rows
from scalesim.controller.payload_table import AGENTS, PayloadTable
from scalesim.controller.replicas import Replicas
from scalesim.controller.simulations import Simulations
from scalesim.policies.online_learner import OnlineDistanceLearner
from scalesim.vocabulary import GUESSED, Distances

_BEHIND = np.float32(GUESSED)
"""Multiplies learned distances, so that they keep their resolution among themselves."""

_FLOOR = "recency"  # every engine's own order: nothing need be said while it does best

_MOST_REQUESTS = 32  # learned from in one message: up to a millisecond each
MOST_AGENTS = 16_384
"""Most agents of a simulation; past it learning starts over, so that plans stay fast."""
_SAMPLE = 256  # agents that score the learners; more cost as much again at every request
_REMEMBERED = 256
"""Requests to start over on when more agents appear than there was room for; and as many foreseen
ones in a row are taken to mean that nothing need be learned any more."""


class LearnedDistances:
    """An `OnlineDistanceLearner` for each simulation whose reports leave requests unforeseen.

    Unforeseen are those that nothing was reported of before the step in which they come. All
    requests of such a simulation are learned from: who follows whom is lost in a part of them. One
    that reports everything a step ahead costs nothing here.

    Args:
        table: Payload table; not modified.
        simulations: Their epochs are the clock; without them requests are counted.
        replicas: Their devices together are the capacity.
    """

    def __init__(self, table: PayloadTable, simulations: Simulations, replicas: Replicas) -> None:
        self._table = table
        self._simulations = simulations
        self._replicas = replicas
        self._learners: dict[int, OnlineDistanceLearner] = {}
        self._foreseen: dict[int, int] = {}  # requests since the last unforeseen one

    def observe(self, used: Rows, reported: Distances) -> None:
        """Note requests.

        Args:
            used: int64[n], payloads that came into use, in order.
            reported: float32[n], their reported distances, inf where there is none.
        """
        table = self._table
        is_known = (table.kind[used] == AGENTS) & (table.total_bytes[used] > 0)
        used, reported = used[is_known][:_MOST_REQUESTS], reported[is_known][:_MOST_REQUESTS]
        is_unforeseen = np.isinf(reported) | table.unannounced[used]
        owners = table.simulation[used]
        for number in np.unique(owners).tolist():
            rows = used[owners == number]
            if not self._is_wanted(number, is_unforeseen[owners == number]):
                continue
            learner = self._learners.get(number)
            if learner is None or len(learner) > MOST_AGENTS:
                capacity = self._capacity(rows)
                learner = OnlineDistanceLearner(capacity, remembered=_REMEMBERED, sample=_SAMPLE)
                self._learners[number] = learner
            learner.observe(table.key[rows], float(self._simulations.epochs[number]))

    def fill(self, rows: Rows, distance: Distances) -> Distances:
        """Return distances with what was learned where none was reported, behind all reported ones.

        Only state that is somewhere gets one: there is nothing to keep or fetch of the others.

        Args:
            rows: int64[n], the payloads of a replica, ascending.
            distance: float32[n], their reported distances; not modified.
        """
        filled = distance
        for number, learner in self._learners.items():
            if learner.leader == _FLOOR or not rows.size:
                continue
            if filled is distance:
                filled = distance.copy()
            ahead = learner.distances(float(self._simulations.epochs[number]))
            for kind in range(len(self._table.kinds)):
                known = self._table.find(kind, learner.keys)
                at = np.searchsorted(rows, known).clip(max=rows.size - 1)
                mine = (rows[at] == known) & self._table.resident(known) & np.isinf(distance[at])
                mine &= self._table.simulation[self._table.agents(known)] == number
                filled[at[mine]] = (ahead[mine] + 1) * _BEHIND
        return filled

    def forget(self, simulation: int) -> None:
        """Forget what was learned of a simulation that ended."""
        self._learners.pop(simulation, None)
        self._foreseen.pop(simulation, None)

    def status(self) -> dict[str, dict[str, Any]]:
        """Return, by simulation, how many agents are watched, who leads, and all learners' hits."""
        return {
            self._simulations.names[number]: {
                "agents": len(learner),
                "leader": learner.leader,
                "hit_shares": learner.hit_shares,
            }
            for number, learner in self._learners.items()
        }

    def _is_wanted(self, simulation: int, is_unforeseen: NDArray[np.bool_]) -> bool:
        """Return whether to learn from requests of a simulation, given which were unforeseen."""
        foreseen = self._foreseen.get(simulation, _REMEMBERED) + len(is_unforeseen)
        if is_unforeseen.any():
            foreseen = 0
        elif foreseen > _REMEMBERED:
            self.forget(simulation)
            return False
        self._foreseen[simulation] = foreseen
        return True

    def _capacity(self, rows: Rows) -> int:
        """Return how many prefixes of the size of these fit on all devices together."""
        mean_bytes = self._table.total_bytes[rows].mean()
        return int(self._replicas.prefix_device_bytes / mean_bytes)
