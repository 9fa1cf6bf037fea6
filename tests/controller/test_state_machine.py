"""Anything may happen in any order; at rest every replica knows what it should."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from scalesim.controller.catalog.rows import CatalogSnapshot
from scalesim.errors import StaleControllerError, StaleEpochError
from scalesim.policies.shares import fair_distances
from scalesim.vocabulary import Tier
from tests.support.controller_view import inside
from tests.support.controller_world import (
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    saved,
    settle,
)
from tests.support.table_integrity import check_integrity

agent_keys = st.integers(0, 12)
towns = st.sampled_from(["town", "city"])
distances = st.sampled_from([0.0, 0.5, 1.0, 3.0, 40.0, 1e30, math.inf, math.nan, -1.0])


class AnythingMayHappen(RuleBasedStateMachine):
    replicas = Bundle("replicas")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.controller = make_controller(self.clock)
        self.alive: dict[str, FakeReplica] = {}
        self.saved: CatalogSnapshot | None = None

    @rule(target=replicas, name=st.sampled_from(["r1", "r2", "r3"]))
    def start_replica(self, name: str) -> str:
        self.clock.now += 0.1
        self.alive[name] = FakeReplica(self.controller, name, device=3, host=6)
        return name

    @rule(name=replicas)
    def detach_replica(self, name: str) -> None:
        self.controller.detach(name)
        self.alive.pop(name, None)

    @rule(
        simulation=towns,
        epoch=st.integers(0, 30),
        reported=st.dictionaries(agent_keys, distances, max_size=8),
    )
    def report(self, simulation: str, epoch: int, reported: dict[int, float]) -> None:
        try:
            ack = report(self.controller, epoch, reported, simulation)
        except StaleEpochError:
            return
        assert ack.accepted + ack.ignored == len(reported)

    @rule(
        simulation=towns,
        pin=st.sets(agent_keys, max_size=2),
        unpin=st.sets(agent_keys, max_size=2),
        done=st.sets(agent_keys, max_size=2),
    )
    def lifecycle(self, simulation: str, pin: set[int], unpin: set[int], done: set[int]) -> None:
        self.controller.lifecycle(simulation, keys(*pin), keys(*unpin), keys(*done))

    @rule(simulation=towns)
    def end_simulation(self, simulation: str) -> None:
        self.controller.end(simulation)

    @rule(
        name=replicas,
        tier=st.sampled_from([Tier.DEVICE, Tier.HOST]),
        held=st.sets(agent_keys, min_size=1, max_size=3),
        in_use=st.booleans(),
    )
    def hold(self, name: str, tier: Tier, held: set[int], in_use: bool) -> None:
        if name in self.alive:
            try:
                self.alive[name].hold(tier, *held, in_use=in_use)
            except StaleControllerError:
                self.alive[name].obey()

    @rule(name=replicas)
    def plan_and_lose_the_answer(self, name: str) -> None:
        if name in self.alive:
            self.controller.plan()
            assert str(self.alive[name].poll()) == str(self.alive[name].poll())

    @rule(name=replicas)
    def obey(self, name: str) -> None:
        if name in self.alive:
            self.controller.plan()
            self.alive[name].obey()

    @rule(seconds=st.sampled_from([0.1, 3.0, 11.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.controller.tick()

    @rule(remembered=st.booleans())
    def controller_dies(self, remembered: bool) -> None:
        snapshot = saved(self.controller) if remembered else None
        old = self.controller.incarnation
        self.clock.now += 1
        self.controller = make_controller(self.clock, snapshot, old if remembered else 0)
        assert self.controller.incarnation > old
        for replica in self.alive.values():
            replica.controller = self.controller

    @rule()
    def come_to_rest(self) -> None:
        settle(self.controller, *self.alive.values())
        for replica in self.alive.values():
            self._check_at_rest(replica)

    @invariant()
    def integrity(self) -> None:
        check_integrity(self.controller)

    def _check_at_rest(self, replica: FakeReplica) -> None:
        table, simulations, replicas = inside(self.controller)
        known = replicas.get(replica.name)
        assert known is not None
        rows = table.rows_on(known.number)
        now = fair_distances(
            table.distances(rows, simulations.turns),
            table.total_bytes[rows],
            table.simulation[rows],
            replica.info.budgets.device_bytes,
            simulations.quota,
        )
        for row, distance in zip(rows, now.tolist(), strict=True):
            key = int(table.key[row])
            sent = replica.distances.get(key, math.inf)
            assert sent == distance or abs(sent - distance) <= min(sent, distance) / 8
            assert (key in replica.pins) == table.pinned[row]
            if table.resident(row):  # copies left by requests that strayed are not followed
                assert key in replica.tiers
                assert not table.finished[row] or key in replica.in_use
        assert set(replica.distances) <= set(table.key[rows].tolist())
        assert replica.pins <= set(table.key[rows].tolist())


TestAnythingMayHappen = pytest.mark.slow(AnythingMayHappen.TestCase)
TestAnythingMayHappen.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
