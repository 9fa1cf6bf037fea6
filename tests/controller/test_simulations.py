"""What one client can do to the others through the simulations' table: nothing."""

import pytest

from scalesim.controller.simulations import MAX_LEAP
from scalesim.errors import InvalidRequestError, StaleEpochError, UnavailableError
from tests.support.controller_world import keys, make_controller, report, steps

FAR = 2**53


def test_a_leap_is_refused_and_changes_nothing() -> None:
    controller = make_controller()
    report(controller, 5, {1: 0.0})
    with pytest.raises(InvalidRequestError, match="steps ahead of the newest") as caught:
        report(controller, FAR, {1: 0.0})
    assert caught.value.field == "epoch"
    report(controller, 6, {1: 0.0})
    report(controller, 6 + MAX_LEAP, {1: 0.0})


def test_a_simulation_may_start_anywhere_and_an_absurd_start_is_undone() -> None:
    controller = make_controller()
    report(controller, FAR, {1: 0.0})
    with pytest.raises(StaleEpochError, match="end the simulation"):
        report(controller, 1, {1: 0.0})
    controller.end("town")
    report(controller, 1, {1: 0.0})
    assert controller.status()["simulations"]["town"]["epoch"] == 1


def test_one_key_s_simulations_leave_room_for_others() -> None:
    controller = make_controller(simulations_per_key=3)

    def tell(name: str, holder: str) -> None:
        controller.report(name, 1, keys(1), steps(0.0), None, holder)

    for at in range(3):
        tell(f"made-up-{at}", "one")
    with pytest.raises(UnavailableError, match="simulations of this key"):
        tell("one-more", "one")
    with pytest.raises(UnavailableError):
        controller.lifecycle("one-more", pin=keys(1), holder="one")
    tell("made-up-0", "one")
    tell("theirs", "two")
    report(controller, 1, {1: 0.0}, "in-the-cluster")
    controller.end("made-up-1")
    tell("one-more", "one")
    assert len(controller.status()["simulations"]) == 5
