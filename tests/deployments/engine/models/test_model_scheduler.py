"""ModelScheduler of models over a pretended engine."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.deployments.engine.models.model_scheduler import ModelScheduler, ModelTurn

MODELS = "abcd"


def test_a_model_goes_on_until_nobody_waits_for_it() -> None:
    turns = ModelScheduler(2, "a")
    assert turns.next_turn("a", ["a", "a"], {"b"}) == ModelTurn("a", sys.maxsize)
    assert turns.next_turn("a", [], {"b"}) == ModelTurn("a", sys.maxsize)
    assert turns.next_turn("a", ["b"], {"b"}) == ModelTurn("b", 0)


def test_others_are_passed_by_a_limited_number() -> None:
    turns = ModelScheduler(3, "a")
    assert turns.next_turn("a", ["a", "b", "a"], {"b"}) == ModelTurn("a", 3)
    turns.admitted(2)
    assert turns.next_turn("a", ["b", "a"], {"b"}) == ModelTurn("a", 1)
    turns.admitted(1)
    assert turns.next_turn("a", ["b", "a"], {"b"}) == ModelTurn("b", 0)
    assert turns.next_turn("a", ["a"], {"b"}) == ModelTurn("a", sys.maxsize), (
        "nobody is passed any more"
    )


def test_a_model_on_its_way_keeps_nobody_waiting() -> None:
    turns = ModelScheduler(1, "a")
    assert turns.next_turn("a", ["b", "a"], ()) == ModelTurn("a", sys.maxsize)
    turns.admitted(100)
    assert turns.next_turn("a", ["b", "a"], {"b"}) == ModelTurn("a", 1), "it is passed from now on"
    assert turns.next_turn("a", ["b", "c"], {"c"}) == ModelTurn("c", 0)


def test_without_weights_whatever_is_at_hand_comes_next() -> None:
    turns = ModelScheduler(1, "a")
    assert turns.next_turn(None, ["a"], ()) is None
    assert turns.next_turn(None, ["a", "b"], {"b"}) == ModelTurn("b", 0)


class BatchingEngine:
    """Admits what a `ModelScheduler` allows; a batch has room for few and runs for some passes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.turns = ModelScheduler(limit, "a")
        self.resident = "a"
        self.at_hand = set(MODELS)
        self.queue: list[str] = []
        self.running = 0
        self.swaps = 0
        self.passed: dict[str, Counter[str]] = defaultdict(Counter)
        """By whom the first request that waits for a model was passed."""

    def step(self, room: int, passes: int = 1) -> None:
        turn = self.turns.next_turn(self.resident, self.queue, self.at_hand)
        if turn is not None and turn.model != self.resident and not self.running:
            self.resident = turn.model
            self.swaps += 1
            self.turns.began(turn.model)
            turn = self.turns.next_turn(self.resident, self.queue, self.at_hand)
        admitted = 0
        if turn is not None and turn.model == self.resident:
            admitted = min(room, turn.requests, self.queue.count(turn.model))
        for _ in range(admitted):
            self.queue.remove(self.resident)
            self.passed.pop(self.resident, None)
        for late in set(self.queue) - {self.resident}:
            self.passed[late][self.resident] += admitted
        self.turns.admitted(admitted)
        self.running = passes if admitted else max(0, self.running - 1)


@given(
    asked=st.lists(st.tuples(st.sampled_from(MODELS), st.integers(0, 3), st.integers(0, 3))),
    limit=st.integers(1, 5),
)
@settings(max_examples=200, deadline=None)
def test_the_first_in_line_is_passed_by_no_more_than_the_limit_of_each_other_model(
    asked: list[tuple[str, int, int]], limit: int
) -> None:
    engine = BatchingEngine(limit)

    def step(room: int, passes: int = 1) -> None:
        engine.step(room, passes)
        assert all(max(passed.values()) <= limit for passed in engine.passed.values())

    for model, room, passes in asked:
        engine.queue.append(model)
        step(room, passes)
    while engine.queue:
        left = len(engine.queue)
        for _ in range(8):
            step(room=8)
        assert len(engine.queue) < left, "nobody is served any more"


@given(asked=st.lists(st.sampled_from(MODELS), min_size=1, max_size=60))
@settings(deadline=None)
def test_a_swap_serves_all_that_wait_for_a_model(asked: list[str]) -> None:
    engine = BatchingEngine(64)
    engine.queue += asked
    for _ in range(100):
        engine.step(room=8)
    assert not engine.queue
    assert engine.swaps == len(set(asked) - {"a"})


def test_a_steady_stream_does_not_starve_the_others() -> None:
    engine = BatchingEngine(4)
    engine.queue += ["a", "b"]
    for _ in range(20):
        engine.queue.append("a")
        engine.step(room=1)
    assert "b" not in engine.queue
