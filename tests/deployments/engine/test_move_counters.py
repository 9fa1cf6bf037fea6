"""What is counted of moves, whatever their kind."""

from math import inf

from scalesim.deployments.engine.payloads.move_counters import MoveCounters
from scalesim.deployments.engine.payloads.moves import MoveOutcome


def test_a_move_ahead_is_used_late_or_wasted_once() -> None:
    counters = MoveCounters("fake")
    for item, end in (("a", counters.use), ("b", counters.waste)):
        counters.issue(item, 10)
        counters.issue(item, 5)
        end(item)
        end(item)
    counters.issue("c", 1)
    counters.use("c", "late")
    found = counters.stats()
    assert (found.issued, found.issued_bytes) == (5, 31)
    assert (found.used, found.used_bytes) == (1, 15)
    assert (found.wasted, found.wasted_bytes) == (1, 15)
    assert (found.late, found.late_bytes) == (1, 1)
    assert counters.ahead == frozenset()


def test_what_was_forgotten_is_neither_used_nor_wasted() -> None:
    counters = MoveCounters("fake")
    counters.issue("a", 10)
    counters.forget()
    counters.use("a")
    assert (counters.stats().used, counters.stats().wasted) == (0, 0)


def test_evictions_are_by_plan_or_by_pressure() -> None:
    counters = MoveCounters("fake")
    counters.evicted(inf)
    with counters.planned():
        counters.evicted(0.0)
    counters.evicted(0.0, planned=True)
    counters.evicted(1.5)
    found = counters.stats()
    assert (found.evicted_by_plan, found.evicted_by_pressure, found.evicted_near) == (2, 2, 0)


def test_evictions_under_pressure_of_who_acts_soon_are_counted_apart() -> None:
    counters = MoveCounters("fake")
    for distance in (0.0, 1.0, 1.01):
        counters.evicted(distance)
    found = counters.stats()
    assert (found.evicted_by_pressure, found.evicted_near) == (3, 2)


def test_what_else_was_measured_is_reported_with_it() -> None:
    counters = MoveCounters("fake")
    counters.loads.note(100, 2.0)
    counters.reads.note(7, 0.5)
    assert counters.refuse() is MoveOutcome.REFUSED
    found = counters.stats(loaded_bytes=5, restarted=1)
    assert (found.kind, found.refused, found.restarted) == ("fake", 1, 1)
    assert (found.loaded_bytes, found.loaded_s) == (5, 2.0)
    assert (found.staged_bytes, found.staged_s) == (7, 0.5)
