"""One replica's directives: what its payloads' distances, places and sizes call for now."""

from __future__ import annotations

import time

from scalesim.controller.counters import Counters
from scalesim.controller.directives import distance_updates, moves
from scalesim.controller.learned_distances import LearnedDistances
from scalesim.controller.payload_table import PayloadTable
from scalesim.controller.replicas import Replica, Replicas
from scalesim.controller.simulations import Simulations
from scalesim.policies.planning import Planner
from scalesim.vocabulary import Directives


class Planning:
    """Fills replicas' outboxes.

    Args:
        table: Payload table; writes what replicas were told and asked for.
        simulations: Whose epochs are the clock.
        replicas: Clears their marks of change.
        learning: Fills in distances that nobody told.
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

    def plan(self, replica: Replica, incarnation: int, now: float) -> bool:
        """Plan for a replica with an empty outbox; return whether there is something in it now."""
        started = time.perf_counter()
        self._replicas.changed[replica.number] = False
        rows = self._table.rows_on(replica.number)
        told = self._table.distances(rows, self._simulations.epochs)
        distance = self._learned.fill(rows, told)
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
