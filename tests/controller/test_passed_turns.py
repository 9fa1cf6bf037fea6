"""What becomes of a reported distance once the agent has asked."""

import pytest

from scalesim.identity import agent_key
from scalesim.vocabulary import Tier
from tests.support.controller_world import FakeReplica, ManualClock, make_controller, report

A, B, C = (agent_key("town", name) for name in "abc")


class TurningTown:
    """A simulation of three agents on one replica, and a clock that every event moves."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self.controller = make_controller(self._clock)
        self._replica = FakeReplica(self.controller, "r")
        self._replica.hold(Tier.DEVICE, A, B, C)

    def report(self, epoch: int, distances: dict[int, float]) -> None:
        self._clock.now += 1
        report(self.controller, epoch, distances)

    def ask(self, *agents: int) -> None:
        self._clock.now += 1
        self._replica.hold(Tier.DEVICE, *agents, in_use=True)

    def answer(self, *agents: int) -> None:
        self._clock.now += 1
        self._replica.hold(Tier.DEVICE, *agents)

    def call(self, agent: int) -> None:
        self.ask(agent)
        self.answer(agent)

    @property
    def distances(self) -> list[float | None]:
        return [self.controller.agent("town", name)["distance"] for name in "abc"]


@pytest.fixture
def turns() -> TurningTown:
    return TurningTown()


def test_a_turn_has_passed_when_one_that_is_due_later_begins(turns):
    turns.report(1, {A: 0, B: 0.25, C: 0.5})
    turns.call(A)
    turns.call(A)
    assert turns.distances == [0, 0.25, 0.5], "it may ask again in its turn"
    turns.ask(B)
    assert turns.distances == [None, 0.25, 0.5]
    turns.answer(B)
    turns.call(C)
    assert turns.distances == [None, None, 0.5]


def test_turns_of_a_step_without_order_pass_with_the_step(turns):
    turns.report(1, {A: 0, B: 0, C: 0})
    turns.call(A)
    turns.call(B)
    assert turns.distances == [0, 0, 0]
    turns.report(2, {})
    assert turns.distances == [None, None, 1], "who did not come is late"
    turns.call(C)
    assert turns.distances == [None, None, 1], "and may ask again in its turn"
    turns.report(3, {})
    assert turns.distances == [None, None, None]


def test_a_turn_goes_on_while_it_asks_beside_later_ones(turns):
    turns.report(1, {A: 0, B: 0.25, C: 0.5})
    turns.ask(A)
    turns.ask(B)
    assert turns.distances == [0, 0.25, 0.5]
    turns.answer(A)
    turns.answer(B)
    assert turns.distances == [0, 0.25, 0.5]
    turns.ask(C)
    assert turns.distances == [None, None, 0.5]
    turns.call(A)
    assert turns.distances == [0, None, 0.5]


def test_a_turn_ends_with_its_step_although_its_end_is_heard_of_later(turns):
    turns.report(1, {A: 0, B: 0.5})
    turns.call(A)
    turns.ask(B)
    turns.report(2, {C: 0})
    assert turns.distances == [None, 0.5, 0], "what is in use stays"
    turns.answer(B)
    assert turns.distances == [None, None, 0]


def test_a_newer_report_holds_and_so_does_a_use_of_a_later_step(turns):
    turns.report(1, {A: 0, B: 0.5, C: 3})
    turns.call(A)
    turns.call(C)
    turns.call(B)
    assert turns.distances == [None, 0.5, 3]
    turns.report(1, {A: 1})
    assert turns.distances == [1, 0.5, 3]


def test_turns_of_another_run_do_not_count(turns):
    turns.report(7, {A: 0, B: 0.5})
    turns.call(A)
    turns.call(B)
    turns.controller.end("town")
    turns.report(1, {A: 0, B: 0.5, C: 1})
    turns.call(A)
    assert turns.distances == [0, 0.5, 1]
