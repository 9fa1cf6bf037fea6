"""The adapter payload over pretended slots."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scalesim.deployments.engine.payloads.adapter_payload import AdapterPayload
from scalesim.deployments.engine.payloads.adapter_slots import Arrival
from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange
from scalesim.vocabulary import Budgets, Tier
from tests.support.sharing import Sharing, Waiting

SIZE = 100


class FakeSlots:
    slots = 2
    host_slots = 10
    slot_bytes = SIZE

    def __init__(self) -> None:
        self.here: list[str] = []
        self.seen: set[str] = set()
        self.entered: set[str] = set()
        self.copied: list[Arrival] = []
        self.queue = Waiting()
        self.distance: Callable[[str], float] = lambda adapter: inf

    def free(self) -> int:
        return self.slots - len(self.here)

    def loaded(self) -> set[str]:
        return {"a", "b", "c", "d"}

    def resident(self) -> list[str]:
        return list(self.here)

    def moved(self) -> set[str]:
        seen, self.seen = self.seen, set(self.here)
        entered, self.entered = self.entered, set()
        return (seen ^ self.seen) | entered

    def need_changes(self) -> NeedChange:
        return self.queue.changes()

    def enter(self, adapter: str) -> None:
        assert adapter not in self.here
        assert len(self.here) < self.slots
        self.here.append(adapter)
        self.entered.add(adapter)
        self.copied.append(Arrival(adapter, 0.5))

    def arrived(self) -> list[Arrival]:
        arrived, self.copied = self.copied, []
        return arrived

    def leave(self, adapter: str) -> None:
        assert adapter not in {used for _, _, used in self.queue}, "in use"
        self.here.remove(adapter)


class AdapterSharing(Sharing):
    def __init__(self) -> None:
        self.slots = FakeSlots()
        self.payload = AdapterPayload(self.slots)
        super().__init__(self.payload, self.slots.queue)

    def serve(self) -> None:
        """The engine runs what waits: it makes room by itself, farthest first."""
        for _, _, adapter in self.slots.queue:
            if adapter not in self.slots.here:
                waiting = {used for _, _, used in self.slots.queue}
                free = [a for a in self.slots.here if a not in waiting]
                if not self.slots.free() and free:
                    farthest = max(free, key=self.slots.distance)
                    self.slots.here.remove(farthest)
                if self.slots.free():
                    self.slots.here.append(adapter)
        self.slots.queue.clear()
        self.payload.settle()


def test_an_agent_nobody_asked_for_has_no_adapter() -> None:
    farm = AdapterSharing()
    assert farm.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.REFUSED
    assert farm.payload.demote(1, Tier.HOST) is MoveOutcome.REFUSED
    assert farm.payload.drop(1) is MoveOutcome.REFUSED
    assert farm.payload.changed() is None
    assert farm.payload.budgets() == Budgets(2 * SIZE, 10 * SIZE, 0)


def test_a_pass_in_which_nothing_moved_looks_at_no_adapter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    farm = AdapterSharing()
    farm.ask(1, "a")
    for each in ("loaded", "resident"):
        monkeypatch.setattr(farm.slots, each, lambda: pytest.fail("looked at all of them"))
    assert not farm.payload.settle()


def test_what_is_on_its_way_arrives_before_it_leaves() -> None:
    farm = AdapterSharing()
    farm.ask(1, "a")
    assert farm.payload.demote(1, Tier.HOST) is MoveOutcome.DONE
    farm.payload.push((1,), (0.0,))
    assert farm.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED
    assert farm.payload.demote(1, Tier.HOST) is MoveOutcome.REFUSED
    assert farm.payload.drop(1) is MoveOutcome.REFUSED
    farm.payload.settle()
    assert farm.payload.demote(1, Tier.HOST) is MoveOutcome.DONE


def test_the_farthest_makes_room_and_only_for_nearer_ones() -> None:
    farm = AdapterSharing()
    for key, adapter in enumerate("abc"):
        farm.ask(key, adapter)
    farm.payload.push((0, 1, 2), (1.0, 9.0, 5.0))
    assert set(farm.slots.here) == {"b", "c"}
    assert farm.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    assert farm.payload.settle() is False
    assert set(farm.slots.here) == {"a", "c"}
    assert farm.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.REFUSED
    transfer = farm.payload.transfer()
    assert (transfer.issued, transfer.loaded_bytes, transfer.loaded_s) == (1, SIZE, 0.5)


def test_what_waits_is_not_moved() -> None:
    farm = AdapterSharing()
    farm.ask(0, "a"), farm.ask(1, "b"), farm.ask(2, "c")
    farm.payload.push((0, 1, 2), (0.0, 9.0, 9.0))
    farm.queue(1, "b"), farm.queue(2, "c")
    assert farm.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.BUSY
    assert farm.payload.demote(1, Tier.HOST) is MoveOutcome.REFUSED
    assert farm.payload.drop(2) is MoveOutcome.REFUSED
    assert farm.rows()[1][-1] is True


def test_a_shared_adapter_counts_in_parts_and_stays_for_the_others() -> None:
    farm = AdapterSharing()
    farm.ask(0, "a"), farm.ask(1, "a")
    assert farm.rows() == {key: (SIZE // 2, SIZE // 2, 0, SIZE // 2, False) for key in (0, 1)}
    assert farm.payload.demote(0, Tier.HOST) is MoveOutcome.DONE
    assert farm.slots.here == ["a"]
    assert farm.payload.drop(0) is MoveOutcome.DONE
    assert farm.payload.demote(1, Tier.HOST) is MoveOutcome.DONE
    assert farm.slots.here == []
    assert farm.rows() == {0: (0, 0, 0, 0, False), 1: (0, SIZE, 0, SIZE, False)}


def test_a_shared_adapter_is_as_near_as_its_nearest_agent() -> None:
    farm = AdapterSharing()
    farm.ask(0, "a"), farm.ask(1, "a"), farm.ask(2, "b"), farm.ask(3, "c")
    farm.slots.here = ["a", "b"]
    farm.payload.push((0, 1, 2, 3), (9.0, 1.0, 5.0, 2.0))
    farm.payload.prefetch(3, Tier.DEVICE)
    assert farm.slots.here == ["a", "c"]


def test_prefetches_are_used_late_or_wasted() -> None:
    farm = AdapterSharing()
    for key, adapter in enumerate("abc"):
        farm.ask(key, adapter)
    late = farm.payload.transfer().late
    farm.payload.push((0, 1, 2), (0.0, 1.0, 9.0))
    farm.slots.here = ["c"]
    farm.payload.prefetch(0, Tier.DEVICE)
    farm.ask(0, "a")
    assert (farm.payload.transfer().used, farm.payload.transfer().late) == (1, late)
    farm.slots.here = ["c"]
    farm.payload.settle()
    farm.payload.prefetch(1, Tier.DEVICE)
    farm.slots.here = ["c"]
    farm.payload.settle()
    transfer = farm.payload.transfer()
    assert (transfer.wasted, transfer.wasted_bytes, transfer.late) == (1, SIZE, late)


def test_an_agent_may_change_its_adapter() -> None:
    farm = AdapterSharing()
    farm.ask(0, "a"), farm.ask(0, "b")
    farm.slots.here = ["a"]
    farm.payload.settle()
    assert farm.rows()[0] == (0, SIZE, 0, SIZE, False)


def test_a_pin_outlasts_nearer_agents() -> None:
    farm = AdapterSharing()
    farm.ask(0, "a"), farm.ask(1, "b"), farm.ask(2, "c")
    farm.slots.here = ["a", "b"]
    farm.payload.push((0, 1, 2), (50.0, 9.0, 1.0))
    farm.payload.pin(0)
    farm.payload.prefetch(2, Tier.DEVICE)
    assert farm.slots.here == ["a", "c"]
    farm.payload.unpin(0)
    assert farm.slots.distance("a") == 50.0


class AdapterMachine(RuleBasedStateMachine):
    """Requests and directives in any order; the pretended slots check every move."""

    keys = st.integers(0, 5)
    adapters = st.sampled_from("abcd")

    def __init__(self) -> None:
        super().__init__()
        self.farm = AdapterSharing()

    @rule(key=keys, adapter=adapters)
    def queue(self, key: int, adapter: str) -> None:
        if len({used for _, _, used in self.farm.slots.queue} | {adapter}) <= FakeSlots.slots:
            self.farm.queue(key, adapter)

    @rule()
    def serve(self) -> None:
        self.farm.serve()

    @rule(key=keys, distance=st.floats(0, 20))
    def push(self, key: int, distance: float) -> None:
        self.farm.payload.push((key,), (distance,))

    @rule(key=keys, verb=st.sampled_from(("prefetch", "demote", "drop", "pin", "unpin")))
    def direct(self, key: int, verb: str) -> None:
        payload = self.farm.payload
        targets = {"prefetch": Tier.DEVICE, "demote": Tier.HOST}
        arguments = (key, targets[verb]) if verb in targets else (key,)
        getattr(payload, verb)(*arguments)

    @invariant()
    def check_integrity(self) -> None:
        payload = self.farm.payload
        payload.settle()
        assert payload.ahead <= set(self.farm.slots.here)
        reported = self.farm.rows()
        users = [key for agents in payload.sharing.values() for key in agents]
        assert sorted(users) == sorted(key for key, row in reported.items() if row[3])
        rows = np.array([row[:4] for row in reported.values()]).reshape(-1, 4)
        assert (rows[:, 0] <= rows[:, 3]).all()
        assert rows[:, 0].sum() <= FakeSlots.slots * SIZE


TestAnything = AdapterMachine.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
