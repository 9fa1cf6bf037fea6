"""What one client can do to the others through the simulations' table: nothing."""

import pytest

from scalesim.controller.simulations import MAX_LEAP, Simulations
from scalesim.errors import InvalidRequestError, StaleEpochError, UnavailableError
from scalesim.settings import ControllerSettings
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


QUOTAS = {"one": {"max_agents": 5, "max_share": 0.5}}


def test_one_key_s_agents_leave_room_for_others() -> None:
    controller = make_controller(key_quotas=QUOTAS)

    def tell(name: str, holder: str, *agents: int) -> int:
        return controller.report(
            name, 1, keys(*agents), steps(*[0.0] * len(agents)), None, holder
        ).accepted

    assert tell("town", "one", 1, 2, 3) == 3
    assert tell("town-2", "one", 4, 5, 6, 7) == 2
    assert tell("town", "one", 1, 2, 3, 8) == 3
    assert tell("other", "two", *range(10, 30)) == 20
    assert tell("mine", "", 31) == 1
    controller.end("town-2")
    assert tell("town", "one", 6, 7) == 2


def test_simulations_of_a_key_share_what_it_may_have() -> None:
    settings = ControllerSettings.model_validate({"key_quotas": QUOTAS, "quotas": {"a": 0.2}})
    simulations = Simulations(settings)
    a = simulations.touch("a", 0, "one")
    b = simulations.touch("b", 0, "one")
    other = simulations.touch("c", 0, "two")
    assert simulations.quota[[a, b, other]].tolist() == [0.2, 0.25, 1.0]
    d = simulations.touch("d", 0, "one")
    assert simulations.quota[[a, b, d]].tolist() == pytest.approx([1 / 6] * 3)
    simulations.end(a)
    simulations.end(d)
    assert simulations.quota[b] == 0.5
    simulations.touch("b", 0, "")
    assert simulations.quota[b] == 1.0
