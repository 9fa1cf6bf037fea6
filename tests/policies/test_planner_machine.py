"""A replica's life under the planner: whatever is reported and asked, the rules hold."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scalesim.policies.links import Links
from scalesim.vocabulary import Budgets, Tier, Verb
from tests.support.planner_worlds import carry_out, planned, view

AGENTS = 10
SIZE = 10
DEVICE, HOST, STORAGE = 40, 70, 1000
agents = st.integers(0, AGENTS - 1)
distances = st.sampled_from([0.0, 0.4, 1.0, 2.0, 7.0, float("inf"), float("nan"), -3.0])


class PlannedReplica(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.links = Links(host_bytes_per_s=30.0, storage_bytes_per_s=20.0, window_s=1.0)
        self.budgets = Budgets(DEVICE, HOST, STORAGE)
        inf = [float("inf")] * AGENTS
        self.world = view(inf, size=SIZE, storage=range(AGENTS), simulation=[0, 1] * 5, step_s=9.0)
        self.clock = 100.0

    def set(self, column, agent, value):
        values = getattr(self.world, column).copy()
        values[agent] = value
        self.world = self.world._replace(**{column: values})

    @rule(agent=agents, distance=distances)
    def report(self, agent, distance):
        self.set("distance", agent, distance)

    @rule(agent=agents)
    def begin_request(self, agent):
        """The engine computes what is missing and evicts by itself, farthest first."""
        self.set("in_use", agent, True)
        self.set("device_bytes", agent, SIZE)
        self.set("last_used", agent, self.clock)
        self.clock += 1
        fixed = self.world.in_use | self.world.pinned
        while self.world.device_bytes.sum() > DEVICE:
            movable = np.flatnonzero(~fixed & (self.world.device_bytes > 0))
            if len(movable) == 0:
                self.set("in_use", agent, False)
                self.set("device_bytes", agent, 0)
                return
            far = np.nan_to_num(self.world.distance[movable], nan=np.inf)
            self.set("device_bytes", movable[far.argmax()], 0)

    @rule(agent=agents)
    def end_request(self, agent):
        self.set("in_use", agent, False)

    @rule(agent=agents, pinned=st.booleans())
    def pin(self, agent, pinned):
        self.set("pinned", agent, pinned)

    @rule()
    def step(self):
        self.world = self.world._replace(distance=np.maximum(self.world.distance - 1, 0))

    @rule(done=st.integers(0, 4))
    def carry_out_some(self, done):
        """A replica may fail to do the later part of a plan."""
        plan = planned(self.world, self.budgets, self.links)
        self.world = carry_out(self.world, type(plan)(*(column[:done] for column in plan)), DEVICE)

    @invariant()
    def check_integrity(self):
        world, plan = self.world, planned(self.world, self.budgets, self.links)
        demotes, fetches = plan.verbs == Verb.DEMOTE, plan.verbs == Verb.PREFETCH
        to_device = fetches & (plan.tiers == Tier.DEVICE)
        assert (demotes | fetches).all()
        assert len(set(plan.rows.tolist())) == len(plan.rows)
        assert not (world.in_use | world.pinned)[plan.rows[demotes]].any()
        assert (np.isfinite(world.distance) | world.pinned)[plan.rows[fetches]].all()
        after = carry_out(world, plan, DEVICE)
        assert after.device_bytes.sum() <= max(DEVICE, world.device_bytes.sum())
        assert world.storage_bytes.sum() == after.storage_bytes.sum() == AGENTS * SIZE
        link_bytes = SIZE * int(to_device.sum())
        assert link_bytes <= 30 + SIZE, "no more than the link begins within the window"
        if demotes.any():
            assert fetches.any(), "room is made for somebody"


TestPlannedReplica = pytest.mark.slow(PlannedReplica.TestCase)
TestPlannedReplica.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
