import numpy as np
import pytest

from scalesim.errors import InvalidRequestError, StaleEpochError, UnavailableError
from scalesim.identity import agent_key
from scalesim.vocabulary import PREFIX, Tier
from tests.support.controller_world import (
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    residency,
    settle,
    steps,
)

A, B, C = (agent_key("town", name) for name in "abc")


def distance(controller, name, simulation="town"):
    return controller.agent(simulation, name)["distance"]


def test_distances_age_with_the_epoch():
    controller = make_controller()
    assert report(controller, 1, {A: 3, B: 5.5}) == (1, 2, 0)
    report(controller, 3, {C: 0})
    assert (distance(controller, "a"), distance(controller, "b")) == (1, 3.5)


def test_a_use_that_did_not_come_is_believed_less_and_less():
    controller = make_controller(distance_ttl_steps=4)
    report(controller, 1, {A: 1})
    seen = []
    for epoch in range(2, 8):
        report(controller, epoch, {})
        seen.append(distance(controller, "a"))
    assert seen == [0, 1, 2, 3, 4, None]


def test_an_expiry_of_its_own_counts_from_now():
    controller = make_controller()
    controller.report("town", 5, keys(A), steps(10), expires_in=2)
    report(controller, 7, {B: 1})
    assert distance(controller, "a") == 8
    report(controller, 8, {B: 1})
    assert distance(controller, "a") is None


def test_bad_distances_are_ignored_and_counted():
    controller = make_controller()
    ack = report(controller, 1, {A: 2, B: float("nan"), C: -1})
    assert ack == (1, 1, 2)
    assert distance(controller, "a") == 2
    assert controller.counters.ignored == 2
    report(controller, 1, {A: float("nan")})
    assert distance(controller, "a") == 2


def test_infinity_forgets_and_the_huge_is_clamped():
    controller = make_controller()
    report(controller, 1, {A: 2, B: 3e38})
    report(controller, 2, {A: float("inf")})
    assert distance(controller, "a") is None
    assert np.isfinite(distance(controller, "b"))


def test_the_last_of_repeated_keys_wins():
    controller = make_controller()
    controller.report("town", 1, keys(A, B, A), steps(1, 2, 3))
    assert distance(controller, "a") == 3


def test_an_older_epoch_is_refused_and_changes_nothing():
    controller = make_controller()
    report(controller, 5, {A: 1})
    with pytest.raises(StaleEpochError, match="older than 5") as caught:
        report(controller, 4, {A: 9})
    assert caught.value.field == "epoch"
    assert distance(controller, "a") == 1
    assert controller.counters.stale_reports == 1
    assert report(controller, 5, {A: 9}).accepted == 1


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("no spaces", 1, keys(A), steps(1)), "simulation"),
        (("town", "1", keys(A), steps(1)), "epoch"),
        (("town", 1, [A], steps(1)), "keys"),
        (("town", 1, keys(A), steps(1, 2)), "distances"),
        (("town", 1, keys(A), steps(1), -3), "expires_in"),
    ],
)
def test_bad_reports_name_the_field(arguments, field):
    controller = make_controller()
    with pytest.raises(InvalidRequestError) as caught:
        controller.report(*arguments)
    assert caught.value.field == field
    assert controller.status()["simulations"] == {}


def test_a_simulation_cannot_speak_for_agents_of_another():
    controller = make_controller()
    report(controller, 1, {A: 5}, "town")
    assert report(controller, 1, {A: 0, 77: 1}, "city") == (1, 1, 1)
    controller.lifecycle("city", pin=keys(A), done=keys(A))
    assert distance(controller, "a") == 5
    assert not controller.agent("town", "a")["pinned"]


def test_agents_past_the_limit_are_ignored():
    controller = make_controller(max_agents=2)
    assert report(controller, 1, {1: 1, 2: 1, 3: 1}) == (1, 2, 1)
    assert report(controller, 1, {1: 1, 2: 1, 3: 1}) == (1, 2, 1)


def test_simulations_past_the_limit_are_refused():
    controller = make_controller()
    for number in range(4095):
        report(controller, 1, {}, f"s{number}")
    with pytest.raises(UnavailableError, match="4095 simulations"):
        report(controller, 1, {}, "one-more")
    controller.end("s7")
    report(controller, 1, {}, "one-more")


def test_a_silent_simulation_loses_distances_pins_and_epoch():
    clock = ManualClock()
    controller = make_controller(clock, simulation_lease_s=60)
    replica = FakeReplica(controller, "r")
    replica.hold(Tier.DEVICE, A)
    report(controller, 9, {A: 1})
    controller.lifecycle("town", pin=keys(A))
    settle(controller, replica)
    assert replica.pins == {A}
    clock.now += 59
    replica.poll()
    report(controller, 9, {})
    clock.now += 59
    replica.poll()
    controller.tick()
    assert distance(controller, "a") == 1
    clock.now += 2
    controller.tick()
    settle(controller, replica)
    assert (replica.pins, replica.distances) == (set(), {})
    assert controller.status()["simulations"] == {}
    assert report(controller, 0, {A: 1}).epoch == 0


def test_ending_a_simulation_lets_its_epochs_start_over():
    controller = make_controller()
    report(controller, 9, {A: 1})
    controller.end("town")
    controller.end("never-seen")
    assert report(controller, 0, {A: 2}) == (0, 1, 0)


def test_an_agent_that_is_done_is_dropped_and_may_come_back():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    replica.hold(Tier.DEVICE, A)
    replica.hold(Tier.HOST, B, in_use=True)
    report(controller, 1, {A: 1, B: 2})
    settle(controller, replica)
    controller.lifecycle("town", done=keys(A, B))
    settle(controller, replica)
    assert replica.tiers == {B: Tier.HOST}
    replica.hold(Tier.HOST, B)
    settle(controller, replica)
    assert replica.tiers == {}
    controller.tick()
    assert controller.status()["agents"]["total"] == 0
    replica.hold(Tier.DEVICE, A)
    report(controller, 1, {A: 1})
    settle(controller, replica)
    assert replica.tiers == {A: Tier.DEVICE}


def test_an_unknown_agent_is_a_clear_error():
    with pytest.raises(InvalidRequestError, match="'nobody' of simulation 'town' is unknown"):
        make_controller().agent("town", "nobody")


def test_a_million_strangers_do_not_stay():
    controller = make_controller()
    strangers = np.arange(100_000, dtype=np.int64)
    controller.report("town", 1, strangers, np.ones(strangers.size, np.float32))
    controller.end("town")
    for _ in range(3):
        controller.tick()
    assert controller.status()["agents"]["total"] == 0


def test_residency_of_a_payload_nobody_reported_is_kept():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    controller.residency("r", replica.incarnation, (residency({A: Tier.HOST}, kind=PREFIX),))
    assert controller.agent("town", "a")["residency"] == "host"
    report(controller, 1, {A: 4})
    assert controller.agent("town", "a")["simulation"] == "town"
