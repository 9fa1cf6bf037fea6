"""Requests wait in the queue for their copies while others run."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.engine.payloads.moves import Arrivals
from scalesim.deployments.engine.sglang import admission_order
from scalesim.deployments.engine.sglang.admission_order import (
    FULL_PASS_TOKENS,
    OVERTAKEN_PASSES,
    PATIENCE_PASSES,
)
from scalesim.deployments.engine.sglang.pass_cost import ASSUMED_TOKENS

PROMPT = 2 * FULL_PASS_TOKENS


class Queue:
    """A scheduler that takes the first two requests of its queue, and where prefixes are."""

    def __init__(self, *agents: int | None) -> None:
        self.waiting_queue: list[Any] = [self.request(agent) for agent in agents]
        self.coming: set[int] = set()
        self.waiting: set[int] = set()
        self.busy = False
        self.fresh = 1
        self.tokens = ASSUMED_TOKENS
        self.running = 1
        self.pass_tokens = ASSUMED_TOKENS
        self.hidden = 0
        self.chunked_req: Any = None
        self.came: list[Any] = []
        self.policy = SimpleNamespace(calc_priority=lambda queue, running, **more: None)

    def request(self, agent: int | None) -> Any:
        return SimpleNamespace(agent=agent, origin_input_ids=range(PROMPT), output_ids=[])

    def get_new_batch_prefill(self, _: Any) -> list[int | None]:
        """As SGLang: it makes a new list of what is left, and takes in what came meanwhile."""
        running = SimpleNamespace(reqs=[None] * self.running)
        self.policy.calc_priority(self.waiting_queue, running)
        batch, left = self.waiting_queue[:2], self.waiting_queue[2:]
        self.waiting_queue = [*left, *self.came]
        return [request.agent for request in batch]

    def bring(self, keys: list[int], hidden: int, running: int) -> Arrivals:
        self.hidden = hidden
        coming, waiting = (frozenset(each & set(keys)) for each in (self.coming, self.waiting))
        return Arrivals(coming, waiting, self.tokens if coming else 0)

    def resident_tokens(self, key: int) -> int:
        return PROMPT - self.fresh

    @property
    def left(self) -> list[int | None]:
        return [request.agent for request in self.waiting_queue]


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Queue]:
    monkeypatch.setattr(admission_order, "key_of", lambda request: request.agent)
    monkeypatch.setattr(admission_order, "is_running", lambda queue, running: queue.busy)

    def wrapped(*agents: int | None, **state: Any) -> Queue:
        queue = Queue(*agents)
        for name, value in state.items():
            setattr(queue, name, value)
        admission_order.AdmissionOrder(queue, queue)
        return queue

    return wrapped


def test_others_go_first_and_the_order_stays(hold: Callable[..., Queue]) -> None:
    queue = hold(1, 2, None, 3, 4, 5, coming={1}, waiting={3})
    assert queue.get_new_batch_prefill(None) == [2, None]
    assert queue.left == [1, 3, 4, 5]
    queue.coming = queue.waiting = set()
    assert queue.get_new_batch_prefill(None) == [1, 3]


def test_where_nothing_else_can_run_a_batch_begins_with_what_is_under_way(
    hold: Callable[..., Queue],
) -> None:
    assert hold(1, 2, 3, coming={2}, waiting={1, 3}).get_new_batch_prefill(None) == [2]
    assert hold(1, 2, 3, waiting={1, 2, 3}).get_new_batch_prefill(None) == [1, 2]


def test_all_wait_while_others_run(hold: Callable[..., Queue]) -> None:
    queue = hold(1, 2, 3, coming={1, 2, 3}, busy=True)
    assert queue.get_new_batch_prefill(None) == []
    assert queue.left == [1, 2, 3]


def test_who_is_ready_shares_a_pass_with_those_who_are_soon(hold: Callable[..., Queue]) -> None:
    queue = hold(1, 2, 3, coming={2, 3}, busy=True)
    batches = [queue.get_new_batch_prefill(None) for _ in range(PATIENCE_PASSES)]
    queue.coming = {3}
    assert batches == [[]] * PATIENCE_PASSES
    assert queue.get_new_batch_prefill(None) == [1, 2]


def test_who_computes_a_pass_s_worth_waits_for_nobody(hold: Callable[..., Queue]) -> None:
    queue = hold(1, 2, 3, coming={3}, busy=True, fresh=FULL_PASS_TOKENS // 2)
    assert queue.get_new_batch_prefill(None) == [1, 2]
    stranger = hold(None, 3, coming={3}, busy=True)
    assert stranger.get_new_batch_prefill(None) == [None]


@pytest.mark.parametrize(("running", "chosen"), [(1, [1, 2]), (20, [])])
def test_a_pass_of_their_own_must_delay_less_than_waiting_does(
    hold: Callable[..., Queue], running: int, chosen: list[int]
) -> None:
    queue = hold(1, 2, 3, coming={3}, busy=True, running=running, tokens=4 * ASSUMED_TOKENS)
    assert queue.get_new_batch_prefill(None) == chosen


def test_nobody_waits_for_those_who_wait_for_room(hold: Callable[..., Queue]) -> None:
    assert hold(1, 2, 3, waiting={3}, busy=True).get_new_batch_prefill(None) == [1, 2]


def test_a_pass_that_is_made_anyway_takes_who_is_ready(hold: Callable[..., Queue]) -> None:
    queue = hold(1, 3, coming={3}, busy=True, chunked_req=object())
    assert queue.get_new_batch_prefill(None) == [1]


def test_what_comes_meanwhile_is_last(hold: Callable[..., Queue]) -> None:
    queue = hold(1, 2, 3, 4, coming={1}, tokens=9 * ASSUMED_TOKENS)
    queue.came = [queue.request(9)]
    assert queue.get_new_batch_prefill(None) == [2, 3]
    assert queue.left == [1, 4, 9]


def test_nobody_is_overtaken_for_long(hold: Callable[..., Queue]) -> None:
    queue = hold(1, waiting={1})
    for _ in range(OVERTAKEN_PASSES + 1):
        queue.waiting_queue.append(queue.request(2))
        assert queue.get_new_batch_prefill(None) == [2]
    queue.waiting_queue.append(queue.request(2))
    assert queue.get_new_batch_prefill(None) == [1, 2]


def test_what_passes_hide_depends_on_what_one_takes(hold: Callable[..., Queue]) -> None:
    queue = hold(1, pass_tokens=3 * ASSUMED_TOKENS)
    queue.get_new_batch_prefill(None)
    assert queue.hidden == 6 * ASSUMED_TOKENS


def test_the_longer_a_pass_takes_the_longer_is_waited_for_one_less(
    hold: Callable[..., Queue],
) -> None:
    queue = hold(1, 2, 3, coming={3}, busy=True, tokens=4 * ASSUMED_TOKENS)
    queue.pass_tokens = 2 * ASSUMED_TOKENS
    assert queue.get_new_batch_prefill(None) == []


@pytest.mark.parametrize(
    ("tokens", "chosen"),
    [(ASSUMED_TOKENS, [1, 2]), (2 * ASSUMED_TOKENS, [1, 2]), (3 * ASSUMED_TOKENS, [1])],
)
def test_where_nothing_runs_those_who_are_ready_begin_with_the_others_where_that_delays_less(
    hold: Callable[..., Queue], tokens: int, chosen: list[int]
) -> None:
    assert hold(1, 2, coming={2}, tokens=tokens).get_new_batch_prefill(None) == chosen


def test_where_nothing_runs_nobody_waits_for_those_who_wait_for_room(
    hold: Callable[..., Queue],
) -> None:
    assert hold(1, 2, 3, coming={2}, waiting={3}).get_new_batch_prefill(None) == [1]
