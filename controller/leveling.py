"""Moves agents between replicas so that memory is level and no replica makes a step wait."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.key_index import Rows
from scalesim.controller.payload_table import AGENTS, PayloadTable
from scalesim.controller.placements import Placements
from scalesim.controller.replicas import AttachedReplica, Replicas
from scalesim.controller.simulations import Simulations
from scalesim.policies.balance import Population, rebalanced
from scalesim.vocabulary import PREFIX

_EVERY_S = 0.25
"""Shortest time between two: a step of language model calls takes longer, and what its later
batches add is seen by the next one."""

_HORIZON_STEPS = 2
_TOLERANCE = 0.05

_REQUEST_S = 0.02
"""What one request more adds to a replica's step besides rebuilding state: of an 8B model's 128 new
and 128 output tokens, in a batch that reads the weights for others anyway. Alone it takes five
times as long; levelled by that, agents moved whose state took longer to rebuild than they saved
(`benchmarks.simulations.emulated_fleet`). It counts only against that."""


_REBUILDS = 2.0
"""Times that a move's rebuilding counts against a wait: those in the batch wait for it too."""


class Leveling:
    """Levels the steps reported ahead, and memory with agents that have no state to lose.

    Args:
        table: Payload table.
        simulations: Their epochs are the clock.
        replicas: Those to be level with one another.
        placements: Carries the moves out.
        most_moves: Agents moved at a time; 0 leaves all where hashing puts them.

    Attributes:
        wanted: Whether something changed since the last time.
        moved: Agents moved so far.
    """

    def __init__(
        self,
        table: PayloadTable,
        simulations: Simulations,
        replicas: Replicas,
        placements: Placements,
        most_moves: int,
    ) -> None:
        self.wanted = False
        self.moved = 0
        self._table = table
        self._simulations = simulations
        self._replicas = replicas
        self._placements = placements
        self._most_moves = most_moves
        self._again_at = -math.inf

    def level(self, now: float) -> None:
        """Move agents where it pays; a no-op where nothing changed, or just after another.

        Waits for replicas that are remembered and did not attach again yet.
        """
        if not self.wanted or now < self._again_at or not self._most_moves:
            return
        self.wanted, self._again_at = False, now + _EVERY_S
        homes = self._replicas.attached()
        if len(homes) < max(2, len(self._replicas)):
            return
        numbers = np.array([replica.number for replica in homes], np.int16)
        rates = [replica.meters[PREFIX].links.rebuild_bytes_per_s for replica in homes]
        rebuild_bytes_per_s = float(np.mean(rates))
        held_bytes = self._held_bytes(numbers)
        rows = np.union1d(self._soon(), self._crowding(numbers, held_bytes))
        agents = self._population(rows, numbers, rebuild_bytes_per_s)
        listed_bytes = np.bincount(agents.place, agents.state_bytes, len(homes))
        places = rebalanced(
            agents,
            held_bytes - listed_bytes,
            _HORIZON_STEPS,
            _TOLERANCE,
            self._most_moves,
            self._device_bytes(homes, rebuild_bytes_per_s),
        )
        moved = places != agents.place
        if moved.any():
            self._placements.assign(rows[moved], numbers[places[moved]])
            self.moved += int(np.count_nonzero(moved))

    def _device_bytes(
        self, homes: Sequence[AttachedReplica], rebuild_bytes_per_s: float
    ) -> NDArray[np.float64]:
        """Return float64[replicas], state that agents of a step may have on each device.

        No bound where who does not fit has to wait for less than moving it would cost: its state is
        rebuilt while others wait.
        """
        known = self._table.total_bytes[self._table.total_bytes > 0]
        rebuild_s = float(known.mean()) / rebuild_bytes_per_s if known.size else 0.0
        if max(replica.request_s for replica in homes) <= _REBUILDS * rebuild_s:
            return np.full(len(homes), np.inf)
        return np.array([replica.prefix_device_bytes for replica in homes], np.float64)

    def _held_bytes(self, numbers: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return float64[replicas], bytes of all payloads that live on each."""
        table = self._table
        places = len(self._replicas.numbers) + 1
        held = np.bincount(table.replica + 1, table.total_bytes, places)
        return held[numbers + 1].astype(np.float64)

    def _soon(self) -> Rows:
        """Return the rows of agents that act within the horizon."""
        table = self._table
        rows = np.flatnonzero((table.kind == AGENTS) & (table.replica >= 0))
        return rows[table.distances(rows, self._simulations.turns) < _HORIZON_STEPS]

    def _crowding(self, numbers: NDArray[np.int16], held_bytes: NDArray[np.float64]) -> Rows:
        """Return the rows of agents on replicas with too many bytes."""
        table = self._table
        crowded = numbers[held_bytes > held_bytes.mean() * (1.0 + _TOLERANCE)]
        there = [self._table.rows_on(int(number)) for number in crowded]
        rows: Rows = np.concatenate([np.empty(0, np.int64), *there])
        free = (table.kind[rows] == AGENTS) & (table.total_bytes[rows] > 0)
        rows = rows[free & ~table.resident(rows)]
        return rows

    def _population(
        self, rows: Rows, numbers: NDArray[np.int16], rebuild_bytes_per_s: float
    ) -> Population:
        table = self._table
        index = np.zeros(int(numbers.max()) + 1, np.int32)
        index[numbers] = np.arange(numbers.size)
        state_bytes, resident = table.total_bytes[rows], table.resident(rows)
        rebuild_s = state_bytes / rebuild_bytes_per_s
        stays = table.in_use[rows] | table.pinned[rows] | table.sent_pin[rows]
        return Population(
            place=index[table.replica[rows]],
            distance=table.distances(rows, self._simulations.turns),
            state_bytes=state_bytes,
            request_s=_REQUEST_S + np.where(resident, 0.0, rebuild_s),
            move_s=np.where(resident, rebuild_s, 0.0),
            movable=~stays & (table.pending_action[rows] == 0),
        )
