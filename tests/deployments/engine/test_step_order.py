"""Waiting requests of one simulation change places with each other, and with nobody else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scalesim.deployments.engine.sglang.step_order import by_step, keep_order_of_steps

Said = tuple[str | None, int | None]
SAID = st.tuples(st.sampled_from(["town", "city", None]), st.none() | st.integers(0, 5))


def queue_of(said: list[Said]) -> list[Any]:
    return [
        SimpleNamespace(cache_salt=salt, priority=step, number=number)
        for number, (salt, step) in enumerate(said)
    ]


@given(st.lists(SAID, max_size=30))
def test_places_stay_with_their_simulation_and_the_earliest_step_has_the_first(
    said: list[Said],
) -> None:
    before, queue = queue_of(said), queue_of(said)
    by_step(queue)
    assert sorted(request.number for request in queue) == list(range(len(said)))
    for old, new in zip(before, queue, strict=True):
        assert new.cache_salt == old.cache_salt
        assert (new.priority is None) == (old.priority is None)
        if old.priority is None:
            assert new.number == old.number
    for salt in {request.cache_salt for request in queue}:
        mine = [r for r in queue if r.cache_salt == salt and r.priority is not None]
        in_order = [(request.priority, request.number) for request in mine]
        assert in_order == sorted(in_order)


def test_whoever_chooses_after_it_has_them_in_order() -> None:
    seen: list[list[int]] = []
    policy = SimpleNamespace(calc_priority=lambda queue, running, **more: queue.reverse())
    scheduler: Any = SimpleNamespace(policy=policy)
    keep_order_of_steps(scheduler)
    ordered = policy.calc_priority

    def chosen(queue: list[Any], running: Any, **more: Any) -> None:
        ordered(queue, running, **more)
        seen.append([request.number for request in queue])

    policy.calc_priority = chosen
    scheduler.policy.calc_priority(queue_of([("a", 2), ("a", 1), ("b", 9), ("a", 1)]), None, x=1)
    assert seen == [[3, 2, 1, 0]]
