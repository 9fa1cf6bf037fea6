"""The controller without Ray: distances in, directives out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller import controller_status, validation
from scalesim.controller.catalog.rows import CatalogBatch, CatalogSnapshot
from scalesim.controller.clock import Clock, next_incarnation, steady
from scalesim.controller.controller_state import remembered
from scalesim.controller.directives import DirectivePlanner
from scalesim.controller.garbage_collector import GarbageCollector
from scalesim.controller.hint_statistics import HintStatistics
from scalesim.controller.ingest import (
    begin_turns,
    claim,
    coming_into_use,
    observe,
    store_distances,
)
from scalesim.controller.key_index import MISSING, Rows
from scalesim.controller.learned_distances import LearnedDistances
from scalesim.controller.leveling import Leveling
from scalesim.controller.payload_table import AGENTS, SENT, STATE
from scalesim.controller.placements import PlacementRule, Placements
from scalesim.controller.replicas import AttachedReplica, ReplicaRecord
from scalesim.controller.simulations import NO_SIMULATION
from scalesim.controller.snapshot import DirtyRows, names
from scalesim.errors import InvalidRequestError, StaleControllerError, StaleEpochError
from scalesim.identity import agent_key, check_agent, check_simulation
from scalesim.policies.planning import Planner
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import (
    Directives,
    Keys,
    PlacementDelta,
    ReplicaInfo,
    ReportAck,
    Residency,
    TransferStats,
)

_NO_KEYS: Keys = np.empty(0, np.int64)


class Controller:
    """Knows every agent's state and tells each replica what to move.

    One thread only. Nothing here waits: the catalog's batches are handed out, not written.

    Args:
        settings: Leases and limits.
        catalog: Sizes of batches.
        planner: Decides what belongs in which tier of a replica.
        place: Hashes agents over replicas.
        snapshot: What the catalog remembers of a controller before this one.
        saved_incarnation: Largest incarnation found in the catalog.
        clock: Seconds since 1970 that never jump; by default those of this process.

    Attributes:
        incarnation: Grows with every controller of a stack: the newest one is obeyed.
        counters: What happened since it started.
        state: What it knows, to be read: only the methods change it.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        catalog: CatalogSettings,
        planner: Planner,
        place: PlacementRule,
        snapshot: CatalogSnapshot | None = None,
        saved_incarnation: int = 0,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or steady()
        now = clock()
        self.incarnation = next_incarnation(now, saved=saved_incarnation)
        self.counters = controller_status.Counters()
        self._settings = settings
        self._clock = clock
        table, simulations, replicas = self.state = remembered(snapshot, settings, now)
        is_whole = snapshot is not None and snapshot.whole
        dirty_rows = DirtyRows(table, catalog.flush_rows, rewrite=not is_whole)
        placements = Placements(table, replicas, place, self.incarnation << 20)
        placements.rehouse()
        learning = LearnedDistances(table, simulations, replicas)
        self._table, self._simulations, self._replicas = table, simulations, replicas
        self._dirty_rows, self._placements, self._learned = dirty_rows, placements, learning
        self._leveling = Leveling(table, simulations, replicas, placements, settings.leveling_moves)
        self._directives = DirectivePlanner(
            table, simulations, replicas, learning, planner, self.counters
        )
        self._hint_statistics = HintStatistics(table, simulations, replicas)
        self._garbage_collector = GarbageCollector(table, simulations, placements, dirty_rows)

    def report(
        self,
        simulation: str,
        epoch: int,
        keys: Keys,
        distances: NDArray[np.float32],
        expires_in: float | None = None,
        holder: str = "",
    ) -> ReportAck:
        """Take over the distances of a batch of agents.

        NaN and negative distances are ignored and counted, inf forgets the agent's distance.

        Args:
            simulation: Simulation id.
            epoch: Its step counter; never goes back, and does not leap.
            keys: int64[n], from `scalesim.identity.agent_keys`.
            distances: float32[n], simulation steps.
            expires_in: Steps from now after which the distances are forgotten; by default
                `distance_ttl_steps` after the use they foresee.
            holder: Holder of the key that the caller showed; empty inside the cluster.

        Raises:
            InvalidRequestError: A value is not of the type, shape or range above.
            UnavailableError: Too many simulations are alive.
            StaleEpochError: A newer epoch of the simulation is known.
        """
        check_simulation(simulation)
        epoch = validation.check_epoch(epoch)
        keys = validation.check_keys(keys)
        distances = validation.check_distances(distances, keys.size)
        expires_in = validation.check_expiry(expires_in)
        try:
            number, moved = self._simulations.advance(simulation, epoch, self._clock(), holder)
        except StaleEpochError:
            self.counters.stale_reports += 1
            raise
        if moved:  # every distance of the simulation aged
            self._replicas.changed[:] = True
        sent = keys.size
        rows = self._rows_of(number, keys)
        usable = (distances >= 0) & (rows != MISSING)
        if not usable.all():
            rows, distances = rows[usable], distances[usable]
        ttl_steps = self._settings.distance_ttl_steps
        turns = self._simulations.turns
        store_distances(self._table, rows, turns, epoch, distances, expires_in, ttl_steps)
        self._replicas.changed[self._table.replica[rows]] = True
        self._leveling.wanted = True
        self.counters.reports += 1
        self.counters.updates += rows.size
        self.counters.ignored += sent - rows.size
        return ReportAck(epoch, rows.size, sent - rows.size)

    def lifecycle(
        self,
        simulation: str,
        pin: Keys = _NO_KEYS,
        unpin: Keys = _NO_KEYS,
        done: Keys = _NO_KEYS,
        holder: str = "",
    ) -> None:
        """Pin agents to the device, unpin them, or give up their state for good.

        Agents of another simulation are left alone. A later report revives an agent that is done.

        Args:
            simulation: Simulation id.
            pin: int64[n]; they stay pinned until unpinned, done, or the simulation's lease ends.
            unpin: int64[n].
            done: int64[n].
            holder: Holder of the key that the caller showed; empty inside the cluster.

        Raises:
            InvalidRequestError: A value is not of the type or shape above.
            UnavailableError: Too many simulations are alive.
        """
        check_simulation(simulation)
        fields = {"pin": pin, "unpin": unpin, "done": done}
        checked = {name: validation.check_keys(keys, name) for name, keys in fields.items()}
        number = self._simulations.touch(simulation, self._clock(), holder)
        claimed = (self._rows_of(number, keys) for keys in checked.values())
        pinned, unpinned, ended = (rows[rows != MISSING] for rows in claimed)
        self._table.pinned[pinned] = True
        self._table.pinned[unpinned] = False
        self._table.pinned[ended] = False
        self._table.finished[ended] = True
        self._forget_distances(ended)
        for rows in (pinned, unpinned, ended):
            self._mark(rows)

    def end(self, simulation: str) -> None:
        """End a simulation: its distances and pins go now, its epochs may start over.

        Raises:
            InvalidRequestError: Not a simulation id.
        """
        number = self._simulations.names.find(check_simulation(simulation))
        if number is not None:
            self._release(number)

    def attach(self, info: ReplicaInfo) -> int:
        """Take a replica in and return the incarnation it must present.

        Nothing is known of its payloads afterwards, and it is taken to hold no distances and no
        pins: it drops what it has and sends its whole residency. Attaching again starts over.
        """
        self.outrank(info.seen_incarnation)
        known = self._replicas.get(info.name)
        replica = self._replicas.attach(info, self._clock())
        for kind in info.kinds:
            self._table.kinds.number(kind)
        if known is None:
            self._rehouse()
        self._table.reset(self._table.rows_on(replica.number), *STATE, *SENT)
        self._replicas.changed[replica.number] = True
        return self.incarnation

    def detach(self, name: str) -> None:
        """Let a replica go: its agents are placed on the others."""
        replica = self._replicas.get(name)
        if replica is not None:
            self._lose([replica])

    def residency(self, replica: str, incarnation: int, messages: tuple[Residency, ...]) -> None:
        """Take over what a replica says of its payloads.

        Raises:
            StaleControllerError: The replica is not attached to this controller: attach again.
            InvalidRequestError: A message's arrays do not fit together.
        """
        sender = self._attached(replica, incarnation)
        if sender is None:
            raise StaleControllerError(
                f"replica {replica!r} reported to controller {incarnation}, this is "
                f"{self.incarnation} and does not know it: attach again"
            )
        for message in messages:
            validation.check_residency(message)
        now = self._clock()
        for message in messages:
            rows = self._table.find(self._table.kinds.number(message.kind), message.keys)
            used = coming_into_use(self._table, rows, message.in_use)
            reported = self._table.distances(used, self._simulations.turns)
            self._hint_statistics.observe(used, reported)
            self._learned.observe(used, reported)
            begin_turns(self._table, self._simulations, used, now)
            observe(self._table, self._placements, sender, message, rows, now)
        self._replicas.changed[sender.number] |= bool(messages)

    def transfer(self, replica: str, incarnation: int, transfer: TransferStats) -> None:
        """Keep an attached replica's transfer stats; those of other replicas are ignored."""
        sender = self._attached(replica, incarnation)
        if sender is not None:
            sender.note(transfer)

    def poll(self, replica: str, incarnation: int, acked: int) -> Directives | None:
        """Return the directives a replica has not acknowledged; None where there are none.

        Asking again without a new acknowledgement returns the same.

        Args:
            replica: Its name.
            incarnation: What `attach` returned.
            acked: Sequence of the last directives it carried out; 0 for none.
        """
        sender = self._attached(replica, incarnation)
        if sender is None:
            self.counters.resyncs += 1
            return Directives(self.incarnation, 0, resync=True)
        sender.seen_at = self._clock()
        if sender.outbox is not None and acked == sender.outbox.sequence:
            sender.outbox = None
            self.counters.directive_times.add(self._clock() - sender.made_at)
        return sender.outbox

    def tick(self) -> None:
        """End leases that ran out, drop agents without any information, level the replicas."""
        started, now = time.perf_counter(), self._clock()
        for simulation in self._simulations.silent(now, self._settings.simulation_lease_s):
            self.counters.simulations_expired += 1
            self._release(simulation.number)
        lost = self._replicas.silent(now, self._settings.replica_lease_s)
        self.counters.replicas_lost += len(lost)
        self._lose(lost)
        self._garbage_collector.collect()
        self._leveling.level(now)
        self._hint_statistics.score()
        self.counters.tick_times.add(time.perf_counter() - started)

    def plan(self) -> list[str]:
        """Plan for every replica that needs it; return those that have new directives."""
        return [name for name in self.needing_plans() if self.plan_one(name)]

    def needing_plans(self) -> list[str]:
        """Return replicas whose plan is out of date and that acknowledged the last one."""
        return [replica.name for replica in self._replicas.due(self._clock())]

    def plan_one(self, name: str) -> bool:
        """Plan for one replica; return whether it has new directives."""
        replica = self._replicas.get_attached(name)
        if replica is None or replica.outbox is not None:
            return False
        return self._directives.plan(replica, self.incarnation, self._clock())

    @property
    def placement_version(self) -> int:
        """Version of the placements; grows with every change."""
        return self._placements.version

    def placements(self, version: int) -> PlacementDelta:
        """Return placements that changed since `version`; 0 asks for all of them."""
        return self._placements.delta(version)

    def take_dirty(self, limit: int | None = None) -> CatalogBatch | None:
        """Return the next batch for the catalog, `limit` rows at most; None where it knows all."""
        known = names(self._table, self._simulations, self._replicas)
        return self._dirty_rows.take(known, limit)

    def give_back(self, batch: CatalogBatch) -> None:
        """Keep a batch that could not be written, for a later one."""
        self._dirty_rows.give_back(batch)

    def outrank(self, incarnation: int) -> None:
        """Become newer than another controller; replicas then attach again."""
        if incarnation > self.incarnation:
            self.incarnation = next_incarnation(self._clock(), seen=incarnation)

    def start_catalog_over(self) -> None:
        """Write all rows again: the catalog came back empty."""
        self._dirty_rows.start_over()

    def status(self) -> dict[str, Any]:
        """Return counts, memory and leases; grows with replicas and simulations only."""
        return {
            "incarnation": self.incarnation,
            "agents": controller_status.agents(self.state),
            "replicas": controller_status.replicas(self.state, self._clock()),
            "simulations": controller_status.simulations(self.state, self._clock()),
            "learned": self._learned.status(),
            "leveled": self._leveling.moved,
            **self._hint_statistics.status(),
            **self.counters.status(),
            "table_bytes": self._table.nbytes,
            "dirty_rows": len(self._dirty_rows),
        }

    def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what the controller knows about one agent.

        Raises:
            InvalidRequestError: An id is not valid, or the agent is unknown.
        """
        key = agent_key(check_simulation(simulation), check_agent(agent))
        row = int(self._table.find(AGENTS, np.array([key]))[0])
        if row == MISSING:
            raise InvalidRequestError(
                f"agent {agent!r} of simulation {simulation!r} is unknown: it has no distance and "
                "no state on any replica; check the ids",
                "agent",
            )
        return controller_status.agent(self.state, row)

    def _rows_of(self, simulation: int, keys: Keys) -> Rows:
        room, quota = self._settings.max_agents - len(self._table), None
        if (most := self._simulations.max_agents(simulation)) is not None:
            mine = self._simulations.with_same_key(simulation)
            quota = most - int(np.count_nonzero(mine[self._table.simulation]))
        return claim(self._table, self._placements, simulation, keys, room, quota)

    def _release(self, simulation: int) -> None:
        """Free everything a simulation held; its agents belong to no simulation."""
        rows = np.flatnonzero(self._table.simulation == simulation)
        self._forget_distances(rows)
        self._table.pinned[rows] = False
        self._table.simulation[rows] = NO_SIMULATION
        self._mark(rows)
        self._learned.forget(simulation)
        self._simulations.end(simulation)

    def _lose(self, lost: list[ReplicaRecord]) -> None:
        for replica in lost:
            self._replicas.remove(replica)
        if lost:
            self._rehouse()

    def _rehouse(self) -> None:
        self._placements.rehouse()
        self._leveling.wanted = True

    def _forget_distances(self, rows: Rows) -> None:
        self._table.reset(rows, "due", "expires")

    def _mark(self, rows: Rows) -> None:
        self._table.dirty[rows] = True
        self._replicas.changed[self._table.replica[rows]] = True

    def _attached(self, name: str, incarnation: int) -> AttachedReplica | None:
        return self._replicas.get_attached(name) if incarnation == self.incarnation else None
