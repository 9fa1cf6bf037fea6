"""How a trial judges what a fault did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.reliability.__main__ import figures, shown
from benchmarks.reliability.fault_runs import FaultOutcome
from benchmarks.reliability.injected_faults import FAULTS, named
from benchmarks.reliability.invariants import StackSnapshot, changed, lost
from benchmarks.reliability.load import AGENTS, End, LoadTally

BEFORE = StackSnapshot(Counter(replica=2), frozenset(), 9, 1000)


def test_agents_are_served_once_all_of_them_are() -> None:
    tally = LoadTally()
    for agent in range(AGENTS):
        assert not tally.all_served_since(5.0)
        tally.add(agent, 6.0, End.ANSWERED)
    assert tally.all_served_since(5.0)
    assert not tally.all_served_since(6.0)


def test_only_what_a_fault_may_lose_is_forgiven() -> None:
    tally = LoadTally()
    tally.add(0, 1.0, End.ANSWERED)
    tally.add(1, 1.0, End.BROKEN, "it broke off")
    assert lost(tally, {End.BROKEN}) == []
    tally.add(2, 1.0, End.WRONG)
    assert lost(tally, {End.BROKEN}) == [f"1 {End.WRONG.value}", "reason: it broke off"]


def test_a_stack_is_as_before_or_what_differs_is_named(tmp_path: Path) -> None:
    file = tmp_path / "left"
    before = BEFORE._replace(files=frozenset({str(file)}))
    assert changed(before, BEFORE) == []
    file.touch()
    after = StackSnapshot(Counter(replica=1), frozenset(), 10, 2000)
    found = " ".join(changed(before, after))
    assert all(word in found for word in ("processes", str(file), "sockets", "memory"))


def test_the_longest_time_is_held_against_its_goal() -> None:
    fault = named("engine killed")
    outcomes = [
        FaultOutcome(fault.name, served_s=2.0, back_s=30.0, out_s=0.5),
        FaultOutcome(fault.name, served_s=4.0, back_s=50.0, out_s=0.7, failed_s=0.1),
    ]
    row = figures(fault, outcomes, started_s=60.0)
    assert (row["served_p50_s"], row["served_max_s"], row["served_goal_s"]) == (3.0, 4.0, 3.0)
    cells = [str(next(iter(column.cells))) for column in shown([row]).columns]
    assert [cell.endswith("!") for cell in cells[-4:]] == [True, False, False, True]
    never = figures(fault, [FaultOutcome(fault.name, 1.0, 1.0)], started_s=60.0)
    assert "never!" in [str(next(iter(column.cells))) for column in shown([never]).columns]


def test_every_fault_has_a_name_of_its_own() -> None:
    assert [named(fault.name) for fault in FAULTS] == list(FAULTS)
