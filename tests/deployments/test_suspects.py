"""Which requests are blamed for engines that are lost, and what becomes of the others."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.deployments.calls import Call
from scalesim.deployments.suspects import (
    EngineLostError,
    Loss,
    RetryDecision,
    Suspects,
    Suspicion,
    digest,
    judge,
)
from scalesim.errors import SuspectRequestError


class SuspectsClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def call(seed: int, **more: object) -> Call:
    return Call(seed, "chat", {"seed": seed, **more}, "salt")


def test_equal_work_is_the_same_request_whoever_asks_however_it_is_brought() -> None:
    one = Call(1, "chat", {"seed": 1, "n": 2, "stream": True, "user": "a"}, "salt", 3.0, 7)
    two = Call(2, "chat", {"n": 2, "seed": 1}, "pepper")
    assert digest(one) == digest(two)
    assert len({digest(each) for each in (one, call(1), two._replace(endpoint="completions"))}) == 3


def test_a_body_that_json_cannot_hold_has_a_digest() -> None:
    assert len(digest(call(1, big=2**80, raw=b"x", of={1: object}))) == 16


def test_the_error_keeps_its_verdict_between_processes() -> None:
    error = pickle.loads(pickle.dumps(EngineLostError("gone", Suspicion.POSSIBLE)))
    assert (str(error), error.verdict) == ("gone", Suspicion.POSSIBLE)


def test_the_cause_is_refused_until_it_is_forgotten() -> None:
    clock = SuspectsClock()
    suspects = Suspects(keep_s=60.0, clock=clock)
    assert suspects.lost(call(1), Suspicion.CAUSE, "r1") is RetryDecision.REFUSE
    suspects.check(call(2))
    with pytest.raises(SuspectRequestError, match="in 1 minutes"):
        suspects.check(call(1, stream=True))
    clock.now = 61.0
    suspects.check(call(1))
    assert len(suspects) == 0


def test_possible_causes_are_tried_once_more_alone() -> None:
    suspects = Suspects()
    possible = Suspicion.POSSIBLE
    assert suspects.lost(call(1), possible, "r1") is RetryDecision.RETRY_ALONE
    assert (
        suspects.lost(call(1), possible, "r1") is RetryDecision.RETRY_ALONE
    )  # an equal one beside it
    suspects.check(call(1))
    assert suspects.lost(call(1), possible, "r2") is RetryDecision.REFUSE
    assert suspects.lost(call(2), possible, "r1") is RetryDecision.RETRY_ALONE
    suspects.answered(call(2))
    assert suspects.lost(call(2), possible, "r2") is RetryDecision.RETRY_ALONE


def test_losses_from_outside_are_never_held_against_a_request() -> None:
    suspects = Suspects()
    assert {suspects.lost(call(1), Suspicion.INNOCENT, "r1") for _ in range(9)} == {
        RetryDecision.RETRY
    }
    assert len(suspects) == 0


def test_replicas_that_vanish_are_remembered_until_they_are_there_again() -> None:
    told: list[Loss] = []
    suspects, other = Suspects(tell=told.append), Suspects()
    found = {suspects.lost(call(1), Suspicion.UNKNOWN, replica) for replica in ("r1", "r2")}
    assert found == {RetryDecision.RETRY}
    suspects.check(call(1))
    other.learn(told)
    for each in (suspects, other):
        assert each.vanished(call(1)) == {"r1", "r2"}
        assert each.vanished(call(2)) == frozenset()
    suspects.clear(call(1), {"r2", "r3"})
    suspects.clear(call(2), {"r1"})
    assert suspects.vanished(call(1)) == {"r1"}


def test_losses_before_and_after_an_answer_are_not_added_up() -> None:
    suspects = Suspects()
    for replica in ("r1", "r2", "r3"):
        assert suspects.lost(call(1), Suspicion.UNKNOWN, replica) is RetryDecision.RETRY
        suspects.answered(call(2))
        assert len(suspects) == 1
        suspects.answered(call(1))
        assert len(suspects) == 0
    suspects.lost(call(1), Suspicion.CAUSE, "r4")
    suspects.answered(call(1))  # one that was under way elsewhere
    with pytest.raises(SuspectRequestError):
        suspects.check(call(1))


def test_what_is_remembered_is_bounded() -> None:
    suspects = Suspects(most=3)
    for seed in range(9):
        suspects.lost(call(seed), Suspicion.CAUSE, "r1")
    assert len(suspects) == 3
    suspects.check(call(5))
    with pytest.raises(SuspectRequestError):
        suspects.check(call(6))


def test_judging_by_what_the_scheduler_names() -> None:
    inside = [(call(1), ["a"]), (call(2), ["b"]), (call(3, n=2), ["c", "d"])]
    cause, possible, innocent = Suspicion.CAUSE, Suspicion.POSSIBLE, Suspicion.INNOCENT
    assert judge(True, {"b"}, inside) == [innocent, cause, innocent]
    assert judge(True, {"a", "b"}, inside) == [possible, possible, innocent]
    assert judge(True, set(), inside) == [possible] * 3
    assert judge(True, set(), inside[:1]) == [cause]
    assert judge(True, {"of another choice"}, inside) == [innocent, innocent, cause]
    assert judge(True, {"unheard of"}, inside[:2]) == [possible] * 2
    assert judge(True, set(), [(call(1), ["a"]), (call(1), ["b"])]) == [cause] * 2
    assert judge(False, {"a"}, inside) == [innocent] * 3


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    innocents=st.integers(0, 30),
    copies=st.integers(1, 3),
    named_by=st.sampled_from(["nothing", "itself", "its batch"]),
    batch=st.integers(1, 8),
    order=st.randoms(use_true_random=False),
)
def test_one_deadly_request_costs_two_engines_at_most_and_nobody_else_anything(
    innocents: int, copies: int, named_by: str, batch: int, order: object
) -> None:
    """All are in one engine, which dies of one; what is tried again goes to another engine."""
    deadly = innocents
    suspects = Suspects()
    waiting = [*range(innocents), *[deadly] * copies]
    order.shuffle(waiting)  # type: ignore[attr-defined]
    answered: list[int] = []
    refused: list[int] = []
    engines = 0

    def try_on(requests: list[int]) -> list[tuple[int, RetryDecision]]:
        nonlocal engines
        if deadly not in requests:
            answered.extend(requests)
            return []
        engines += 1
        place = requests.index(deadly)
        named = {
            "nothing": set(),
            "itself": {str(place)},
            "its batch": {str(n) for n in range(max(0, place - batch + 1), place + 1)},
        }[named_by]
        inside = [(call(each), [str(n)]) for n, each in enumerate(requests)]
        found = judge(True, named, inside)
        return [
            (each, suspects.lost(call(each), verdict, f"r{engines}"))
            for each, verdict in zip(requests, found, strict=True)
        ]

    again = try_on(waiting)
    refused += [each for each, step in again if step is RetryDecision.REFUSE]
    together = [each for each, step in again if step is RetryDecision.RETRY]
    alone = [[each] for each, step in again if step is RetryDecision.RETRY_ALONE]
    for requests in [together, *alone]:
        for each in list(requests):
            try:
                suspects.check(call(each))
            except SuspectRequestError:
                requests.remove(each)
                refused.append(each)
        for each, step in try_on(requests):
            (refused if step is RetryDecision.REFUSE else answered).append(each)
            assert step is RetryDecision.REFUSE

    assert sorted(answered) == list(range(innocents))
    assert refused == [deadly] * copies
    alone_at_first = innocents == 0 or named_by == "itself"
    assert engines <= (1 if alone_at_first and copies == 1 else 2)
