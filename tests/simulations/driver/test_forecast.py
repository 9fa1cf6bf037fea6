"""Distances follow what a World says, and the order in which its turns can begin."""

from __future__ import annotations

from typing import Any

import numpy as np

import scalesim
from scalesim.policies.stepping import Barrier, Causal, Dependencies
from scalesim.settings import ClientSettings
from scalesim.simulation import Simulation
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.forecast import Forecast
from scalesim.simulations.driver.roster import Roster
from tests.support.driver_worlds import Talk, Teams, Walkers
from tests.support.fake_transport import FakeTransport


def forecast(world: scalesim.World, transport: FakeTransport) -> tuple[Forecast, Simulation]:
    hints = Simulation("test", settings=ClientSettings(), transport=transport)
    return Forecast(world, Roster(world), hints), hints


def taken(row: int, step: int, place: Any = None, next_step: int = 0) -> TakenTurn:
    return TakenTurn(row, step, b"", b"", place, next_step or step + 1, (), (), "")


def test_those_who_walk_towards_each_other_are_near() -> None:
    transport = FakeTransport()
    guess, hints = forecast(Walkers(3), transport)
    conductor = Barrier(np.ones(3, np.int64), 9)
    conductor.begin()
    guess.took([taken(0, 0, (0.0, 0.0)), taken(1, 0, (12.0, 0.0)), taken(2, 0, (500.0, 0.0))], 1)
    guess.took([taken(0, 1, (1.0, 0.0)), taken(1, 1, (11.0, 0.0)), taken(2, 1, (500.0, 1.0))], 1)
    # They are as step 2 begins; four steps later, in step 6, they see each other.
    assert guess.distances(conductor).tolist() == [5.0, 5.0, np.inf]
    guess.report(conductor)
    hints.close()
    (report,) = transport.reports
    assert (report.epoch, list(report.ids)) == (1, ["agent-0", "agent-1", "agent-2"])
    assert list(report.distances) == [5.0, 5.0, np.inf]


def test_places_are_of_the_step_that_they_were_reached_in() -> None:
    guess, hints = forecast(Walkers(2), FakeTransport())
    conductor = Causal(np.ones(2, np.int64), 99)
    conductor.begin()
    guess.took([taken(0, 0, (0.0, 0.0)), taken(1, 0, (22.0, 0.0))], 1)
    conductor.done(np.array([0]), np.array([11]))
    guess.took([taken(0, 1, (1.0, 0.0)), taken(1, 1, (21.0, 0.0))], 1)
    guess.took([taken(0, 10, (2.0, 0.0))], 1)
    # In step 11 the one is at 2 and the other at 12: four steps later they meet. The one has four
    # more turns until then, the other has fourteen.
    assert guess.distances(conductor).tolist() == [4.0, 14.0]
    hints.close()


def test_who_has_taken_all_turns_calls_after_all_others() -> None:
    guess, hints = forecast(Walkers(2), FakeTransport())
    conductor = Causal(np.ones(2, np.int64), 99)
    conductor.begin()
    guess.took([taken(0, 0, (0.0, 0.0)), taken(1, 0, (1.0, 0.0))], 1)
    conductor.done(np.array([0]), np.array([99]))
    assert guess.distances(conductor).tolist() == [98.0, 0.0]
    hints.close()


def test_a_plan_is_the_step_of_the_next_turn() -> None:
    class Planned(scalesim.World):
        def next_turn(self, me: scalesim.World) -> int:  # type: ignore[override]
            return 1

    guess, hints = forecast(Planned(2), FakeTransport())
    conductor = Barrier(np.array([1, 4]), 9)
    conductor.begin()
    guess.took([taken(0, 0), taken(1, 0, next_step=4)], 1)
    assert guess.distances(conductor).tolist() == [0.0, 3.0]
    hints.close()


def test_who_follows_others_is_as_far_as_their_turns() -> None:
    chain = np.array([[0, 1], [1, 2]])
    conductor = Causal(np.ones(3, np.int64), 9, depends=Dependencies.make(3, parents=chain))
    conductor.begin()
    guess, hints = forecast(Teams(3), FakeTransport())
    guess.took([taken(row, 0) for row in range(3)], 1)
    assert guess.distances(conductor).tolist() == [0.0, 1.0, 2.0]
    hints.close()


def test_a_place_in_an_order_is_a_part_of_a_step_and_some_are_pinned() -> None:
    class Led(Talk):
        pinned = ("agent-0",)

    transport = FakeTransport()
    guess, hints = forecast(Led(4), transport)
    conductor = Barrier(np.ones(4, np.int64), 9, lambda step: np.arange(4))
    conductor.begin()
    guess.took([taken(row, 0) for row in range(4)], 1)
    in_order = len(Led(4).order(1))
    assert guess.distances(conductor).tolist() == [row / np.float32(in_order) for row in range(4)]
    hints.close()
    assert transport.changes[0] == (["agent-0"], [], [])
