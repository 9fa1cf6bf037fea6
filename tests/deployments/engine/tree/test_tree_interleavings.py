"""Requests, directives and pressure while copies are under way, in any order."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scalesim.deployments.engine.payloads.prefix_payload import PrefixPayload
from scalesim.deployments.engine.prefixes import Prefix
from scalesim.vocabulary import Tier
from tests.support.stub_pools import PAGE, CacheBatch, CacheEngine, EvictParams

SPACE = (None, None)
AGENTS = 6
KEYS = st.integers(0, AGENTS - 1)
RUNNING = 3
VIEWS = st.integers(0, 2)


def prompt(key: int, turn: int = 0, view: int = 0) -> list[int]:
    """Even agents share a head, pairs of them more of it; a turn goes on from the last.

    Views of an agent share what it shares with others, and nothing else.
    """
    head = [*range(100, 116)] if key % 2 == 0 else []
    pair = [*range(200 + key // 4 * 50, 208 + key // 4 * 50)]
    own = 1000 * (key + 1) + 100 * view
    return [*head, *pair, *range(own, own + 8 + turn * PAGE)]


class Interleavings(RuleBasedStateMachine):
    """Two pools that hold about half of everything; `check` reads every row there is."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = CacheEngine(device_tokens=112, host_tokens=96)
        self.payload = PrefixPayload(self.engine.cache)
        self.running: list[tuple[int, CacheBatch]] = []

    @initialize(copied=st.booleans())
    def everybody_asked(self, copied: bool) -> None:
        """All are known: in host memory, or on the device alone as far as there is room."""
        self.engine.host.closed = not copied
        for key in range(AGENTS):
            self.start(key, 0, 0)
            self.finish()
            self.engine.arrive()
        self.engine.host.closed = False
        if copied:
            self.all_that_is_idle_leaves_the_device()

    @rule(key=KEYS, turn=st.integers(0, 3), view=VIEWS)
    def start(self, key: int, turn: int, view: int) -> None:
        if len(self.running) == RUNNING:
            self.finish()
        batch = self.engine.begin(prompt(key, turn, view))
        if batch is not None:
            self.payload.used(key, 0)
            self.running.append((key, batch))

    @precondition(lambda self: self.running)
    @rule()
    def finish(self) -> None:
        key, batch = self.running[0]
        self.engine.finish(batch)
        del self.running[0]
        tokens = np.array(batch.tokens, np.int64)
        self.payload.learn(key, Prefix(tokens, len(tokens), SPACE, len(tokens)), None)

    @precondition(lambda self: self.running)
    @rule()
    def abort(self) -> None:
        _, batch = self.running.pop()
        self.engine.run(batch)
        self.engine.device.free(batch.own)
        self.engine.cache.unlock(batch.lock)

    @rule(key=KEYS, tier=st.sampled_from((Tier.DEVICE, Tier.HOST)))
    def prefetch(self, key: int, tier: Tier) -> None:
        self.payload.prefetch(key, tier)
        self.payload.settle()

    @rule(key=KEYS)
    def demote(self, key: int) -> None:
        self.payload.demote(key, Tier.HOST)
        self.engine.cache.flush_pending_backups()

    @rule(key=KEYS)
    def drop(self, key: int) -> None:
        self.payload.drop(key)

    @rule(key=KEYS, other=KEYS, view=VIEWS)
    def overtaken(self, key: int, other: int, view: int) -> None:
        """A request may share what is on its way for another agent."""
        self.all_that_is_idle_leaves_the_device()
        self.prefetch(key, Tier.DEVICE)
        self.start(other, 0, view)

    @rule()
    def all_that_is_idle_leaves_the_device(self) -> None:
        """Heads that several share leave under pressure alone; they come back with one of them."""
        self.engine.cache.evict(EvictParams(num_tokens=self.engine.device.size))

    @rule(full=st.booleans())
    def host_memory_is_full(self, full: bool) -> None:
        """What is computed meanwhile has no host copy."""
        self.engine.host.closed = full

    @rule(key=KEYS, distance=st.sampled_from((0.0, 1.0, 2.0, 9.0, float("inf"))))
    def push(self, key: int, distance: float) -> None:
        self.payload.push((key,), (distance,))

    @rule(loads=st.booleans())
    def a_copy_ends(self, loads: bool) -> None:
        controller = self.engine.controller
        (controller.loads if loads else controller.writes).run_one()

    @rule()
    def a_pass(self) -> None:
        self.engine.cache.check_hicache_events()
        self.payload.settle()

    @precondition(lambda self: not self.running)
    @rule()
    def flush(self) -> None:
        self.engine.cache.reset()
        self.engine.device.clear()

    @invariant()
    def every_row_is_right(self) -> None:
        self.engine.check(busy=sum(len(batch.own) for _, batch in self.running))

    def teardown(self) -> None:
        while self.running:
            self.finish()
        self.engine.arrive()
        self.payload.settle()
        self.engine.check()
        cache = self.engine.cache
        assert not cache.ongoing_load_back
        assert not cache.ongoing_write_through
        assert cache.protected_size() == 0
        assert not any(node.arrival for node in cache.tree_core._node_arena.values())


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
