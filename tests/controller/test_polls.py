import numpy as np
import pytest

from scalesim.errors import StaleControllerError
from scalesim.vocabulary import Budgets, ReplicaInfo, Tier, Verb
from tests.support.controller_world import (
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    residency,
    settle,
)


def moves_of(directives):
    return [
        (Verb(verb), key)
        for batch in directives.moves
        for verb, key in zip(batch.verbs, batch.keys.tolist(), strict=True)
    ]


def test_the_nearest_come_to_the_device():
    controller = make_controller()
    replica = FakeReplica(controller, "r", device=2)
    replica.hold(Tier.HOST, 1, 2, 3, 4)
    report(controller, 1, {1: 4, 2: 0, 3: 1, 4: 9})
    settle(controller, replica)
    assert replica.tiers == {1: Tier.HOST, 2: Tier.DEVICE, 3: Tier.DEVICE, 4: Tier.HOST}
    assert replica.distances == {1: 4, 2: 0, 3: 1, 4: 9}


def test_a_simulation_that_claims_everything_does_not_win_the_engine_s_evictions():
    controller = make_controller()
    replica = FakeReplica(controller, "r", device=4)
    hostile, honest = range(10, 20), range(5)
    replica.hold(Tier.HOST, *hostile, *honest)
    report(controller, 1, dict.fromkeys(hostile, 0.0), "hostile")
    report(controller, 1, {key: 3.0 + key for key in honest}, "honest")
    settle(controller, replica)
    last_to_leave = sorted(replica.distances, key=replica.distances.__getitem__)[:4]
    assert sum(key in honest for key in last_to_leave) == 2
    controller.end("honest")
    settle(controller, replica)
    assert replica.distances == dict.fromkeys(hostile, 0.0), "alone, it is believed"


def test_directives_are_sent_again_until_acknowledged():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    report(controller, 1, {1: 4})
    controller.plan()
    first = replica.poll()
    report(controller, 2, {1: 9})
    assert controller.plan() == []
    assert replica.poll() is first
    replica.acked = first.sequence
    assert replica.poll() is None
    controller.plan()
    second = replica.poll()
    assert second.sequence == first.sequence + 1
    assert second.distance_updates[0].distances.tolist() == [9]


def test_what_a_replica_knows_is_not_sent_again():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    report(controller, 1, {1: 4, 2: 100, 3: 5})
    settle(controller, replica)
    report(controller, 2, {3: 4})
    controller.plan()
    pushed = replica.poll().distance_updates[0]
    assert dict(zip(pushed.keys.tolist(), pushed.distances.tolist(), strict=True)) == {1: 3, 3: 4}


def test_far_distances_are_pushed_before_they_are_an_eighth_off():
    controller = make_controller(distance_ttl_steps=1)
    replica = FakeReplica(controller, "r")
    report(controller, 0, {1: 100})
    settle(controller, replica)
    first = replica.acked
    for epoch in range(1, 101):
        report(controller, epoch, {})
        settle(controller, replica)
        assert abs(replica.distances[1] - (100 - epoch)) <= (100 - epoch) / 8
    assert 10 < replica.acked - first < 40


def test_a_move_is_asked_for_once_until_it_is_answered_or_late():
    clock = ManualClock()
    controller = make_controller(clock)
    replica = FakeReplica(controller, "r")
    replica.hold(Tier.HOST, 1)
    report(controller, 1, {1: 0})
    controller.plan()
    first = replica.poll()
    assert moves_of(first) == [(Verb.PREFETCH, 1)]
    replica.acked = first.sequence
    replica.poll()
    report(controller, 1, {2: 1})
    controller.plan()
    again = replica.poll()
    assert moves_of(again) == []
    replica.acked = again.sequence
    replica.poll()
    assert controller.plan() == []
    clock.now += 3
    assert controller.plan() == ["r"]
    assert moves_of(replica.poll()) == [(Verb.PREFETCH, 1)]


def test_pins_and_unpins_are_sent_once():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    controller.lifecycle("town", pin=keys(1, 2))
    settle(controller, replica)
    assert replica.pins == {1, 2}
    controller.lifecycle("town", unpin=keys(1), pin=keys(3))
    controller.plan()
    assert moves_of(replica.poll()) == [(Verb.UNPIN, 1), (Verb.PIN, 3)]
    settle(controller, replica)
    assert replica.pins == {2, 3}


def test_a_pinned_agent_comes_to_the_device_and_is_asked_for_once():
    controller = make_controller()
    replica = FakeReplica(controller, "r", device=2)
    replica.hold(Tier.HOST, 1, 2, 3)
    report(controller, 1, {2: 0.0, 3: 0.0})
    settle(controller, replica)
    controller.lifecycle("town", pin=keys(1))
    controller.plan()
    asked = moves_of(replica.poll())
    assert asked.count((Verb.PREFETCH, 1)) == 1
    assert (Verb.PIN, 1) in asked
    settle(controller, replica)
    assert replica.tiers[1] == Tier.DEVICE
    assert controller.counters.directives["prefetch"] == 3


def test_a_replica_the_controller_does_not_know_is_asked_to_attach():
    controller = make_controller()
    answer = controller.poll("stranger", controller.incarnation, 0)
    assert answer.resync
    assert answer.incarnation == controller.incarnation
    with pytest.raises(StaleControllerError, match="attach again"):
        controller.residency("stranger", controller.incarnation, (residency({1: Tier.HOST}),))


def test_another_incarnation_is_refused_both_ways():
    controller = make_controller(saved_incarnation=10**15)
    assert controller.incarnation == 10**15 + 1
    replica = FakeReplica(controller, "r")
    replica.incarnation -= 1
    assert replica.poll().resync
    with pytest.raises(StaleControllerError):
        replica.send(1)


def test_a_controller_exceeds_what_a_replica_has_obeyed():
    controller = make_controller()
    old = FakeReplica(controller, "old")
    seen = controller.incarnation + 1000
    budgets = Budgets(1, 1, 1)
    assert controller.attach(ReplicaInfo("new", budgets, ("prefix",), seen)) == seen + 1
    assert old.poll().resync


def test_attaching_again_starts_over():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    replica.hold(Tier.HOST, 1, 2)
    report(controller, 1, {1: 0, 2: 1})
    controller.lifecycle("town", pin=keys(2))
    settle(controller, replica)
    del replica.tiers[2]
    replica.attach()
    assert controller.status()["agents"]["device"] == 1
    settle(controller, replica)
    assert replica.distances == {1: 0, 2: 1}
    assert replica.pins == {2}


def test_only_kinds_a_replica_can_move_are_sent():
    controller = make_controller()
    controller.attach(ReplicaInfo("r", Budgets(500, 500, 0), ("adapter",)))
    controller.residency("r", controller.incarnation, (residency({1: Tier.HOST}),))
    report(controller, 1, {1: 0})
    assert controller.plan() == []


def test_equal_keys_of_two_kinds_are_two_payloads():
    controller = make_controller()
    controller.attach(ReplicaInfo("r", Budgets(500, 500, 0), ("prefix", "adapter")))
    for kind, tier in (("prefix", Tier.HOST), ("adapter", Tier.DEVICE)):
        controller.residency("r", controller.incarnation, (residency({1: tier}, kind=kind),))
    status = controller.status()
    assert (status["agents"]["total"], status["agents"]["host"]) == (1, 1)
    kinds = status["replicas"]["r"]["kinds"]
    assert kinds["prefix"]["host_agents"] == kinds["adapter"]["device_agents"] == 1
    assert kinds["prefix"]["device_agents"] == kinds["adapter"]["host_bytes"] == 0


def test_every_payload_of_an_agent_is_as_far_and_as_pinned_as_the_agent():
    controller = make_controller()
    controller.attach(ReplicaInfo("r", Budgets(500, 500, 0), ("prefix", "adapter")))
    adapters = residency({1: Tier.HOST, 2: Tier.HOST, 3: Tier.HOST}, kind="adapter")
    controller.residency("r", controller.incarnation, (adapters,))
    report(controller, 1, {1: 0.0})
    controller.lifecycle("town", pin=keys(1), done=keys(2))
    controller.plan()
    directives = controller.poll("r", controller.incarnation, 0)
    assert directives is not None
    (near,) = (near for near in directives.distance_updates if near.kind == "adapter")
    assert dict(zip(near.keys.tolist(), near.distances.tolist(), strict=True)) == {1: 0.0}
    (moves,) = (moves for moves in directives.moves if moves.kind == "adapter")
    sent = zip(moves.verbs.tolist(), moves.keys.tolist(), strict=True)
    assert {(Verb(verb), key) for verb, key in sent} == {
        (Verb.PIN, 1),
        (Verb.PREFETCH, 1),
        (Verb.DROP, 2),
    }


def test_a_plan_leaves_a_replica_alone_that_did_not_change():
    controller = make_controller()
    replicas = [FakeReplica(controller, name) for name in ("a", "b")]
    for replica in replicas:
        replica.hold(Tier.HOST, *(range(10) if replica.name == "a" else range(10, 20)))
    report(controller, 1, dict.fromkeys(range(20), 5.0))
    settle(controller, *replicas)
    held = replicas[0].tiers
    report(controller, 1, {next(iter(held)): 1.0})
    assert controller.plan() == ["a"]


def test_plan_times_and_directives_are_counted():
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    replica.hold(Tier.HOST, 1)
    report(controller, 1, {1: 0})
    settle(controller, replica)
    status = controller.status()
    assert status["directives"]["prefetch"] == 1
    assert 0 < status["plan_s"]["p50"] <= status["plan_s"]["p99"]
    assert status["counters"]["updates"] == 1
    assert np.isfinite(status["replicas"]["r"]["silent_s"])
