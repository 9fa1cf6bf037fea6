"""Copies to the device: those that requests wait for, and those ahead of them."""

from __future__ import annotations

import pytest

from scalesim.deployments.engine.payloads import prefix_loads
from scalesim.deployments.engine.payloads.guessed_fetches import QUIET_PASSES
from scalesim.deployments.engine.payloads.moves import NO_ARRIVALS, MoveOutcome
from scalesim.vocabulary import GUESSED, Tier
from tests.deployments.engine.test_prefix_payload import LENGTH, PayloadOverTree


@pytest.fixture(autouse=True)
def _nothing_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_loads, "GROWTH_TOKENS", 0)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> PayloadOverTree:
    """Four agents of which two fit, the first two in host memory only and asked for now."""
    monkeypatch.setattr(prefix_loads, "TOKENS_A_TRANSFER", LENGTH)
    made = PayloadOverTree(2)
    made.payload.push((1, 2, 3, 4), (0.0, 0.0, 9.0, 9.0))
    for agent in (1, 2, 3, 4):
        made.ask(agent)
        made.payload.demote(agent, Tier.HOST)
    made.ask(3), made.ask(4)
    return made


def test_what_a_pass_hides_is_not_waited_for(engine: PayloadOverTree) -> None:
    assert engine.payload.bring([1, 3], LENGTH) == NO_ARRIVALS
    assert engine.tree.loads == 0


def test_more_is_brought_in_place_of_what_is_farther(engine: PayloadOverTree) -> None:
    assert engine.payload.bring([1, 2], LENGTH).coming == {1, 2}
    assert engine.tree.loads == 2  # a transfer is full with one of them
    engine.tree.arrive()
    engine.payload.settle()
    assert engine.payload.bring([1, 2], LENGTH) == NO_ARRIVALS
    assert engine.payload.transfer().issued == 0  # nothing of it was ahead of a request


def test_without_room_requests_wait_for_others_to_end(engine: PayloadOverTree) -> None:
    engine.tree.locked = {3, 4}  # they run
    assert engine.payload.bring([1, 2], LENGTH).waiting == {1, 2}
    engine.tree.locked = {4}
    arrivals = engine.payload.bring([1, 2], LENGTH)
    assert (arrivals.coming, arrivals.waiting) == ({1}, {2})


@pytest.mark.parametrize(("running", "coming"), [(0, {1}), (2, {1}), (3, set())])
def test_room_is_left_for_what_requests_compute(
    engine: PayloadOverTree, monkeypatch: pytest.MonkeyPatch, running: int, coming: set[int]
) -> None:
    monkeypatch.setattr(prefix_loads, "GROWTH_TOKENS", LENGTH // 3)
    assert engine.payload.bring([1, 2], LENGTH, running).coming == coming


def test_who_may_be_asked_for_in_this_step_gives_way_to_who_is(engine: PayloadOverTree) -> None:
    engine.payload.push((3, 4), (0.0, 0.0))
    assert engine.payload.bring([1, 2], LENGTH).coming == {1, 2}


def test_guesses_are_fetched_between_steps(engine: PayloadOverTree) -> None:
    engine.payload.push((1, 3, 4), (GUESSED, GUESSED * 9, GUESSED * 9))
    engine.tree.locked = {4}  # it runs
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED
    engine.payload.settle()
    assert engine.tree.loads == 0
    engine.tree.locked = set()
    for _ in range(QUIET_PASSES - 1):
        engine.payload.settle()
    assert engine.tree.loads == 0
    engine.payload.settle()
    assert engine.tree.loads == 1


def test_a_guess_that_waits_can_be_called_back(engine: PayloadOverTree) -> None:
    engine.payload.push((1, 3, 4), (GUESSED, GUESSED * 9, GUESSED * 9))
    engine.tree.locked = {4}
    engine.payload.prefetch(1, Tier.DEVICE)
    engine.payload.demote(1, Tier.HOST)
    engine.tree.locked = set()
    for _ in range(2 * QUIET_PASSES):
        engine.payload.settle()
    assert engine.tree.loads == 0


def test_requests_go_before_what_is_ahead_of_them(engine: PayloadOverTree) -> None:
    engine.tree.slots = 0
    assert engine.payload.bring([1, 2], LENGTH).waiting == {1, 2}
    engine.tree.slots = 3
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.BUSY
    engine.payload.settle()  # a pass in which nobody waits
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED


def test_a_fetch_waits_for_the_room_of_running_requests(engine: PayloadOverTree) -> None:
    engine.tree.locked = {3, 4}
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.BUSY
    engine.tree.locked = set()
    assert engine.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED
    engine.payload.push((3, 4), (0.0, 0.0))
    assert engine.payload.prefetch(2, Tier.DEVICE) is MoveOutcome.REFUSED


def test_what_is_on_the_device_need_not_be_computed(engine: PayloadOverTree) -> None:
    tokens = [engine.payload.resident_tokens(key) for key in (1, 3, 99)]
    assert tokens == [0, LENGTH, 0]


def test_what_other_requests_wait_for_gives_no_way(engine: PayloadOverTree) -> None:
    arrivals = engine.payload.bring([1, 2, 3], LENGTH)
    assert (arrivals.coming, arrivals.waiting) == ({1}, {2})
    engine.payload.idle(3)
    assert engine.payload.bring([1, 2], LENGTH).coming == {1, 2}


def test_who_shares_all_its_prefix_waits_for_the_same_copy() -> None:
    made = PayloadOverTree(1)
    made.ask(1, shared=LENGTH), made.ask(2, shared=LENGTH)
    made.payload.push((1, 2, 3), (5.0, 5.0, 9.0))
    made.ask(3)
    made.payload.push((1, 2), (0.0, 0.0))
    for _ in range(2):
        found = made.payload.bring([1, 2], 0)
        assert (found.coming, found.waiting, found.tokens) == ({1, 2}, set(), LENGTH)
    made.tree.arrive()
    made.payload.settle()
    assert made.payload.bring([1, 2], 0) == NO_ARRIVALS


def test_what_requests_wait_for_is_dealt_to_the_transfers_there_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prefix_loads, "TOKENS_A_TRANSFER", LENGTH)
    made = PayloadOverTree(6)
    for agent in range(1, 7):
        made.ask(agent)
        made.payload.demote(agent, Tier.HOST)
    assert made.payload.bring(range(1, 7), LENGTH).coming == set(range(1, 7))
    assert made.tree.loads == prefix_loads.TRANSFERS


def test_a_fetch_makes_room_over_several_passes_and_a_request_at_once(
    engine: PayloadOverTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_loads, "LEAVES_A_FETCH", 1)
    tries = [engine.payload.prefetch(1, Tier.DEVICE)]
    while tries[-1] is MoveOutcome.BUSY:
        before = engine.tree.free_tokens()
        tries.append(engine.payload.prefetch(1, Tier.DEVICE))
        assert engine.tree.free_tokens() - before <= engine.tree.page_size
    assert tries[-1] is MoveOutcome.STARTED
    assert len(tries) == LENGTH // engine.tree.page_size > 1
    assert engine.payload.bring([2], 0).coming == {2}
