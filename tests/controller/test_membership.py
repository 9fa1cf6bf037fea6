import numpy as np

from scalesim.controller.core import Controller
from scalesim.policies.placement import rendezvous
from scalesim.vocabulary import PlacementDelta, Tier
from tests.support.controller_world import (
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    settle,
)

AGENTS = list(range(60))


class PlacementFollower:
    """Follows placements the way a router does."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.version = 0
        self.exceptions: dict[int, str] = {}
        self.replicas: tuple[str, ...] = ()

    def follow(self) -> PlacementDelta:
        delta = self.controller.placements(self.version)
        if delta.full:
            self.exceptions = {}
        self.version, self.replicas = delta.version, delta.replicas
        for key, place in zip(delta.keys.tolist(), delta.places.tolist(), strict=True):
            if place < 0:
                self.exceptions.pop(key, None)
            else:
                self.exceptions[key] = delta.replicas[place]
        return delta

    def route(self, key: int) -> str:
        self.follow()
        hashed = self.replicas[int(rendezvous(keys(key), self.replicas)[0])]
        return self.exceptions.get(key, hashed)


def homes(controller: Controller) -> dict[str, int]:
    replicas = controller.status()["replicas"]
    return {name: replica["agents"] for name, replica in replicas.items()}


def test_agents_wait_for_the_first_replica():
    controller = make_controller()
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    assert controller.placements(0).replicas == ()
    replica = FakeReplica(controller, "r")
    settle(controller, replica)
    assert set(replica.distances) == set(AGENTS)


def test_agents_are_hashed_over_replicas_as_routers_hash_them():
    controller = make_controller()
    replicas = {name: FakeReplica(controller, name) for name in ("b", "a", "c")}
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    settle(controller, *replicas.values())
    router = PlacementFollower(controller)
    for key in AGENTS:
        assert key in replicas[router.route(key)].distances
    assert router.exceptions == {}


def test_a_lost_replica_s_agents_live_elsewhere_and_are_absent():
    clock = ManualClock()
    controller = make_controller(clock, replica_lease_s=10)
    stays, goes = FakeReplica(controller, "stays"), FakeReplica(controller, "goes")
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    settle(controller, stays, goes)
    goes.hold(Tier.DEVICE, *goes.distances)
    clock.now += 9
    stays.poll()
    clock.now += 2
    controller.tick()
    assert homes(controller) == {"stays": len(AGENTS)}
    assert controller.status()["agents"]["device"] == 0
    settle(controller, stays)
    assert set(stays.distances) == set(AGENTS)
    assert controller.counters.replicas_lost == 1
    assert goes.poll().resync


def test_a_replica_that_comes_back_finds_its_agents():
    clock = ManualClock()
    controller = make_controller(clock)
    a, b = FakeReplica(controller, "a"), FakeReplica(controller, "b")
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    settle(controller, a, b)
    mine = set(b.distances)
    controller.detach("b")
    controller.detach("b")
    settle(controller, a)
    clock.now += 0.1
    b.attach()
    settle(controller, a, b)
    assert set(b.distances) == mine
    assert set(a.distances) == set(AGENTS) - mine


def test_state_on_the_device_stays_when_a_replica_joins_until_it_cools():
    controller = make_controller()
    first = FakeReplica(controller, "first", device=100)
    first.hold(Tier.DEVICE, *AGENTS)
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    settle(controller, first)
    second = FakeReplica(controller, "second")
    router = PlacementFollower(controller)
    assert {router.route(key) for key in AGENTS} == {"first"}
    moving = set(router.exceptions)
    assert 10 < len(moving) < 50
    cooling = sorted(moving)[:5]
    first.hold(Tier.HOST, *cooling)
    settle(controller, first, second)
    assert {router.route(key) for key in cooling} == {"second"}
    assert set(second.distances) == set(cooling)
    assert set(first.distances) == set(AGENTS) - set(cooling)
    assert not router.follow().full


def test_a_pinned_agent_stays_whatever_tier_it_is_in():
    controller = make_controller()
    first = FakeReplica(controller, "first")
    first.hold(Tier.HOST, *AGENTS)
    controller.lifecycle("town", pin=keys(*AGENTS))
    settle(controller, first)
    FakeReplica(controller, "second")
    assert homes(controller) == {"first": len(AGENTS), "second": 0}


def test_a_request_that_ran_elsewhere_moves_an_agent_without_state():
    controller = make_controller()
    replicas = {name: FakeReplica(controller, name) for name in ("a", "b")}
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    settle(controller, *replicas.values())
    router = PlacementFollower(controller)
    guest = next(key for key in AGENTS if router.route(key) == "a")
    replicas["b"].hold(Tier.DEVICE, guest, in_use=True)
    assert router.route(guest) == "b"
    settle(controller, *replicas.values())
    assert guest in replicas["b"].distances
    assert guest not in replicas["a"].distances


def test_a_copy_elsewhere_does_not_move_an_agent_with_state():
    controller = make_controller()
    replicas = {name: FakeReplica(controller, name) for name in ("a", "b")}
    report(controller, 1, dict.fromkeys(AGENTS, 1.0))
    router = PlacementFollower(controller)
    agent = next(key for key in AGENTS if router.route(key) == "a")
    replicas["a"].hold(Tier.HOST, agent)
    replicas["b"].hold(Tier.DEVICE, agent)
    assert router.route(agent) == "a"
    assert controller.status()["replicas"]["b"]["device_bytes"] == 0


def test_a_router_that_is_up_to_date_gets_nothing():
    controller = make_controller()
    FakeReplica(controller, "a")
    router = PlacementFollower(controller)
    assert router.follow().full
    delta = router.follow()
    assert not delta.full
    assert delta.keys.size == 0
    assert delta.places.dtype == np.int32


def test_versions_of_a_controller_before_are_answered_in_full():
    clock = ManualClock()
    old, new = make_controller(clock), make_controller(clock, saved_incarnation=10**15)
    FakeReplica(old, "a")
    assert new.placements(old.placements(0).version).full
    assert old.placements(new.placements(0).version).full


def test_a_router_far_behind_gets_everything():
    controller = make_controller()
    a, b = FakeReplica(controller, "a"), FakeReplica(controller, "b")
    version = controller.placements(0).version
    many = np.arange(150_000, dtype=np.int64)
    report(controller, 1, {})
    guests = many[rendezvous(many, ("a", "b")) == 0]
    for some in np.array_split(guests, 3):
        b.hold(Tier.DEVICE, *some.tolist())
    some = controller.placements(version)
    assert not some.full
    b.hold(Tier.HOST, *guests.tolist())
    assert controller.placements(version).full
    assert a.tiers == {}


def test_removed_agents_are_no_exceptions_any_more():
    controller = make_controller()
    a, b = FakeReplica(controller, "a"), FakeReplica(controller, "b")
    router = PlacementFollower(controller)
    router.follow()
    guest = next(key for key in AGENTS if router.route(key) == "a")
    b.hold(Tier.DEVICE, guest)
    router.follow()
    assert router.exceptions == {guest: "b"}
    del b.tiers[guest]
    b.send(guest)
    settle(controller, a, b)
    controller.tick()
    router.follow()
    assert router.exceptions == {}
    assert controller.status()["agents"]["total"] == 0


def test_a_pin_is_taken_back_where_it_was_given():
    controller = make_controller()
    first = FakeReplica(controller, "first")
    controller.lifecycle("town", pin=keys(*AGENTS))
    settle(controller, first)
    controller.lifecycle("town", unpin=keys(*AGENTS))
    second = FakeReplica(controller, "second")
    settle(controller, first, second)
    assert first.pins == second.pins == set()
