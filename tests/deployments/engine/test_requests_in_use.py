from __future__ import annotations

import warnings
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scalesim.deployments.engine import boot

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # SGLang's own, on its first import
    from scalesim.deployments.engine.sglang.requests_in_use import LOOKED_AT_A_PASS, LiveRequests

assert boot
pytestmark = pytest.mark.engine


class QueuedRequest:
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, needs: str | None) -> None:
        self.needs, self.done = needs, False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QueuedRequest)  # they are distinguished by identity alone

    def finished(self) -> bool:
        return self.done


class QueueingScheduler(SimpleNamespace):
    """SGLang's queue and batches; it refuses requests once its queue is full."""

    def __init__(self, most_waiting: int = 10**6) -> None:
        super().__init__(waiting_queue=[], last_batch=None, chunked_req=None)
        self.running_batch = SimpleNamespace(reqs=[])
        self.most_waiting = most_waiting
        self.live = LiveRequests(self)
        self.needed = self.live.follow(lambda request: request.needs)

    def _add_request_to_queue(self, request: QueuedRequest) -> None:
        if len(self.waiting_queue) < self.most_waiting:
            self.waiting_queue.append(request)

    def _release_aborted_request(self, request: QueuedRequest) -> None:
        """SGLang's drops what its cache holds of it."""

    def add(self, needs: str | None) -> None:
        self._add_request_to_queue(QueuedRequest(needs))

    def admit(self) -> None:
        if self.waiting_queue:
            self.running_batch.reqs.append(self.waiting_queue.pop(0))

    def abort(self) -> None:
        if self.waiting_queue:
            self._release_aborted_request(self.waiting_queue.pop())

    def finish(self, reported: bool = True) -> None:
        if self.running_batch.reqs:
            request = self.running_batch.reqs.pop(0)
            request.done = True
            if reported:
                self.live.left(request)

    def retract(self) -> None:
        if self.running_batch.reqs:
            self._add_request_to_queue(self.running_batch.reqs.pop())


def test_a_request_is_in_use_from_the_queue_to_its_end() -> None:
    scheduler = QueueingScheduler()
    scheduler.add("a"), scheduler.add(None)
    assert set(scheduler.needed.needs) == {"a"}
    scheduler.admit(), scheduler.retract(), scheduler.admit()
    assert set(scheduler.needed.needs) == {"a"}
    scheduler.abort()
    scheduler.finish()
    assert not scheduler.needed.needs


def test_what_came_before_somebody_follows_is_known_to_it() -> None:
    scheduler = QueueingScheduler()
    scheduler.add("a")
    assert set(scheduler.live.follow(lambda request: request.needs).needs) == {"a"}
    assert scheduler.live.changes(lambda request: request.needs).take() == (["a"], [])


def test_a_refused_request_is_not_in_use() -> None:
    scheduler = QueueingScheduler(most_waiting=1)
    scheduler.add("a"), scheduler.add("b")
    assert set(scheduler.needed.needs) == {"a"}


def test_what_came_and_what_went_is_known_once() -> None:
    scheduler = QueueingScheduler()
    changes = scheduler.live.changes(lambda request: request.needs)
    scheduler.add("a"), scheduler.add("b"), scheduler.add("b"), scheduler.add(None)
    assert changes.take() == (["a", "b", "b"], [])
    scheduler.admit(), scheduler.abort(), scheduler.abort(), scheduler.finish()
    scheduler.add("c"), scheduler.abort()
    assert changes.take() == (["c"], ["b", "a", "c"]), "what came and went in between is in both"
    assert changes.take() == ([], [])


def test_few_are_looked_at_in_every_pass_and_many_in_some() -> None:
    scheduler = QueueingScheduler()
    for _ in range(LOOKED_AT_A_PASS * 4):
        scheduler.add("many"), scheduler.admit()
    scheduler.live.look()
    scheduler.add("few"), scheduler.admit()
    while scheduler.running_batch.reqs:
        scheduler.finish(reported=False)
    passes = 0
    while scheduler.needed.needs:
        scheduler.live.look()
        passes += 1
    assert 1 < passes <= 5
    scheduler.add("few"), scheduler.admit(), scheduler.finish(reported=False)
    scheduler.live.look()
    assert not scheduler.needed.needs


def test_what_is_missed_at_once_went_in_the_order_in_which_it_came() -> None:
    scheduler = QueueingScheduler()
    changes = scheduler.live.changes(lambda request: request.needs)
    names = [f"a{number}" for number in range(30)]
    for name in names:
        scheduler.add(name)
    scheduler.waiting_queue.clear()
    for _ in range(len(names)):
        scheduler.live.look()
    assert changes.take() == (names, names)


def test_what_no_request_needs_any_more_is_reported_once() -> None:
    scheduler, gone = QueueingScheduler(), []
    scheduler.needed.gone = gone.append
    for needs in ("a", "a", "b", None):
        scheduler.add(needs)
    scheduler.abort()
    scheduler.abort()
    assert gone == ["b"]
    scheduler.abort()
    assert gone == ["b"], "another one needs it"
    scheduler.abort()
    assert gone == ["b", "a"]


class RequestsMachine(RuleBasedStateMachine):
    """Whatever comes and goes as SGLang reports it: what is needed is what a look would find."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = QueueingScheduler()
        self.changes = self.scheduler.live.changes(lambda request: request.needs)
        self.counted: Counter[str] = Counter()

    @rule(needs=st.none() | st.sampled_from("abc"))
    def add(self, needs: str | None) -> None:
        self.scheduler.add(needs)

    @rule(what=st.sampled_from(("admit", "abort", "finish", "retract")))
    def go_on(self, what: str) -> None:
        getattr(self.scheduler, what)()

    @rule()
    def look(self) -> None:
        self.scheduler.live.look()

    @invariant()
    def same(self) -> None:
        scheduler: Any = self.scheduler
        there = (*scheduler.waiting_queue, *scheduler.running_batch.reqs)
        expected = {request.needs for request in there} - {None}
        assert set(scheduler.needed.needs) == expected
        came, gone = self.changes.take()
        self.counted.update(came)
        self.counted.subtract(gone)
        assert +self.counted == Counter(request.needs for request in there if request.needs)


TestAnyOrder = RequestsMachine.TestCase
