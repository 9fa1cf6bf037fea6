"""The model payload over pretended weights."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scalesim.deployments.engine.payloads.model_payload import ModelPayload
from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange
from scalesim.vocabulary import Budgets, Tier
from tests.support.sharing import Sharing, Waiting

SIZE = 100


class FakeWeights:
    """Reads end when `settle` is called; requests are served when asked."""

    model_bytes = SIZE
    places = 2
    storage_bytes = 10 * SIZE
    swapped_s = 0.5

    def __init__(self) -> None:
        self.resident: str | None = ""
        self.here: list[str] = []
        self.reading: str | None = None
        self.waited_for = False
        self.queue = Waiting()
        self.distance: Callable[[str], float] = lambda model: inf

    @property
    def held(self) -> Collection[str]:
        return list(self.here)

    def need_changes(self) -> NeedChange:
        return self.queue.changes()

    def fetch(self, model: str, distance: float) -> MoveOutcome:
        assert model not in self.here
        if self.reading is not None:
            return MoveOutcome.BUSY
        if len(self.here) >= self.places:
            farthest = max(self.here, key=self.distance)
            if self.distance(farthest) <= distance:
                return MoveOutcome.REFUSED
            self.here.remove(farthest)
        self.reading = model
        return MoveOutcome.STARTED

    def leave(self, model: str) -> None:
        assert model not in {use.item for use in self.queue}, "in use"
        if model in self.here:
            self.here.remove(model)

    def swap(self, model: str) -> bool:
        assert model in self.here
        if self.queue:
            return False
        self.resident = model
        return True

    def settle(self) -> bool:
        if self.reading is not None:
            self.here.append(self.reading)
            self.reading = None
        return self.waited_for


class ModelSharing(Sharing):
    def __init__(self) -> None:
        self.weights = FakeWeights()
        self.payload = ModelPayload(self.weights)
        super().__init__(self.payload, self.weights.queue)

    def serve(self) -> None:
        for _, _, model in self.weights.queue:
            self.weights.resident = model
            if model not in self.weights.here:
                reading = self.weights.reading is not None
                del self.weights.here[self.weights.places - 1 - reading :]
                self.weights.here.append(model)
        self.weights.queue.clear()
        self.payload.settle()

    def settle(self) -> None:
        for _ in range(4):
            self.payload.settle()


def test_an_agent_nobody_asked_for_has_no_model() -> None:
    house = ModelSharing()
    assert house.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.REFUSED
    assert house.payload.demote(1, Tier.STORAGE) is MoveOutcome.REFUSED
    assert house.payload.changed() is None
    assert house.payload.budgets() == Budgets(SIZE, 2 * SIZE, 10 * SIZE)


def test_the_nearest_is_swapped_in_while_nobody_waits() -> None:
    house = ModelSharing()
    house.ask(0, ""), house.ask(1, "a"), house.ask(2, "b")
    house.payload.push((0, 1, 2), (9.0, 1.0, 5.0))
    assert house.payload.prefetch(2, Tier.DEVICE) is MoveOutcome.DONE, "it is there"
    assert house.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED
    house.queue(2, "b")
    house.settle()
    assert house.weights.resident == "b", "a request is there"
    house.serve()
    assert house.weights.resident == "a"
    assert house.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    house.settle()
    assert house.weights.resident == "a", "what is nearer stays"
    assert house.payload.transfer().evicted_by_plan == 1


def test_models_are_read_ahead_one_after_the_other_nearest_first() -> None:
    house = ModelSharing()
    for key, model in enumerate("abc"):
        house.ask(key, model)
    house.weights.here.clear()
    house.payload.push((0, 1, 2), (3.0, 1.0, 9.0))
    for key in (0, 1):
        assert house.payload.prefetch(key, Tier.HOST) is MoveOutcome.STARTED
    house.payload.settle()
    assert house.weights.reading == "b"
    house.settle()
    assert house.weights.here == ["b", "a"]
    house.payload.prefetch(2, Tier.DEVICE)
    house.payload.settle()
    assert house.weights.here == ["b", "a"], "the resident one is there anyway"
    assert (house.payload.transfer().issued, house.payload.transfer().refused) == (2, 0)


def test_what_reads_and_swaps_cost_is_reported() -> None:
    house = ModelSharing()
    house.ask(0, "a"), house.ask(1, "b")
    house.weights.here.clear()
    house.payload.push((0,), (1.0,))
    house.payload.prefetch(0, Tier.DEVICE)
    house.settle()
    transfer = house.payload.transfer()
    assert (house.weights.resident, transfer.staged_bytes, transfer.loaded_bytes) == (
        "a",
        SIZE,
        SIZE,
    )
    assert transfer.staged_s > 0
    assert transfer.loaded_s == 0.5, "of the swap alone"


def test_nothing_is_brought_ahead_while_requests_wait_for_weights() -> None:
    house = ModelSharing()
    house.ask(0, "a"), house.ask(1, "b")
    house.weights.here.clear()
    house.payload.push((0,), (1.0,))
    house.weights.waited_for = True
    assert house.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    house.settle()
    assert (house.weights.here, house.payload.transfer().issued) == ([], 0)
    house.weights.waited_for = False
    house.settle()
    assert house.weights.resident == "a"


def test_what_is_farther_than_all_in_host_memory_is_refused() -> None:
    house = ModelSharing()
    for key, model in enumerate("abc"):
        house.ask(key, model)
    house.weights.here = ["a", "b"]
    house.payload.push((0, 1, 2), (1.0, 2.0, 9.0))
    house.weights.resident = ""
    house.payload.prefetch(2, Tier.HOST)
    house.settle()
    assert house.weights.here == ["a", "b"]
    assert house.payload.transfer().refused == 1


def test_a_shared_model_counts_in_parts_and_stays_for_the_others() -> None:
    house = ModelSharing()
    house.ask(0, "a"), house.ask(1, "a")
    half = SIZE // 2
    assert house.rows() == {key: (half, half, half, half, False) for key in (0, 1)}
    house.weights.resident = ""
    assert house.payload.demote(0, Tier.STORAGE) is MoveOutcome.DONE
    assert house.weights.here == ["a"]
    assert house.payload.drop(0) is MoveOutcome.DONE
    assert house.payload.drop(1) is MoveOutcome.DONE
    assert house.weights.here == []


def test_reads_ahead_are_used_late_or_wasted() -> None:
    house = ModelSharing()
    house.ask(0, "a"), house.ask(1, "b")
    house.weights.here.clear()
    house.payload.push((0, 1), (0.0, 1.0))
    house.payload.prefetch(0, Tier.DEVICE)
    house.settle()
    late = house.payload.transfer().late
    house.ask(0, "a")
    assert (house.payload.transfer().used, house.payload.transfer().late) == (1, late)
    house.payload.prefetch(1, Tier.HOST)
    house.settle()
    house.weights.here.clear()
    house.settle()
    assert house.payload.transfer().wasted == 1


def test_a_read_that_failed_is_not_tried_again_until_asked() -> None:
    house = ModelSharing()
    house.ask(0, "a"), house.ask(1, "b")
    house.weights.here.clear()
    house.payload.prefetch(0, Tier.HOST)
    house.payload.settle()
    assert house.weights.reading == "a"
    house.weights.reading = None
    house.settle()
    assert house.weights.reading is None
    assert house.payload.transfer().refused == 1
    house.payload.prefetch(0, Tier.HOST)
    house.payload.settle()
    assert house.weights.reading == "a"


def test_in_use_is_reported_of_those_that_ask_and_shares_of_those_they_concern() -> None:
    house = ModelSharing()
    for key in range(40):
        house.ask(key, "a")
    house.rows()
    house.queue(7, "a")
    rows = house.payload.changed()
    assert rows is not None
    assert (rows.keys.tolist(), rows.in_use.tolist()) == ([7], [True])
    house.serve()
    house.rows()
    reported = []
    for key in range(40, 48):
        house.queue(key, "a")
        rows_sent = 0
        while (rows := house.payload.changed()) is not None:
            rows_sent += len(rows.keys)
        reported.append(rows_sent)
        house.serve()
        house.rows()
    assert sorted(reported)[-3] <= 2, "one more agent is not news for all others"
    assert sum(row[0] for row in house.rows().values()) in range(SIZE - 48, SIZE + 1)


class ModelMachine(RuleBasedStateMachine):
    """Requests and directives in any order; the pretended weights check every move."""

    keys = st.integers(0, 5)
    models = st.sampled_from(("", "a", "b", "c"))

    def __init__(self) -> None:
        super().__init__()
        self.house = ModelSharing()

    @rule(key=keys, model=models)
    def queue(self, key: int, model: str) -> None:
        self.house.queue(key, model)

    @rule()
    def serve(self) -> None:
        self.house.serve()

    @rule()
    def lose(self) -> None:
        self.house.weights.resident = None

    @rule(key=keys, distance=st.floats(0, 20))
    def push(self, key: int, distance: float) -> None:
        self.house.payload.push((key,), (distance,))

    @rule(
        key=keys,
        verb=st.sampled_from(("prefetch", "demote", "drop", "pin", "unpin")),
        tier=st.sampled_from((Tier.STORAGE, Tier.HOST, Tier.DEVICE)),
    )
    def direct(self, key: int, verb: str, tier: Tier) -> None:
        arguments = (key, tier) if verb in ("prefetch", "demote") else (key,)
        getattr(self.house.payload, verb)(*arguments)

    @invariant()
    def check_integrity(self) -> None:
        house, payload = self.house, self.house.payload
        rows = np.array([row[:4] for row in house.rows().values()]).reshape(-1, 4)
        assert (rows[:, :3] <= rows[:, 3:]).all()
        assert rows[:, 0].sum() <= SIZE
        assert rows[:, 1].sum() <= house.weights.places * SIZE
        kept = {*house.weights.here, house.weights.resident}
        assert payload.ahead <= kept | {house.weights.reading}


TestAnything = ModelMachine.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
