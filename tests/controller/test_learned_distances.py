import numpy as np
import pytest

from scalesim.controller import learned_distances
from scalesim.vocabulary import PREFIX, Tier
from tests.support.controller_world import FakeReplica, make_controller, report, residency, settle
from tests.support.evicting_replica import EvictingReplica

AGENTS = range(100, 112)


def learned(controller, simulation="-"):
    return controller.status()["learned"][simulation]


def test_a_round_that_was_not_reported_is_learned_and_fetched_ahead():
    controller = make_controller()
    engine = EvictingReplica(controller)
    found = [[engine.request(key) for key in AGENTS] for _ in range(2)]
    assert learned(controller)["leader"] == "recency"
    assert engine.distances == {}, "recency is the engine's own order"
    found += [[engine.request(key) for key in AGENTS] for _ in range(6)]
    share = np.mean(found, axis=1)
    assert share[:2].tolist() == [0, 0], "recency finds nobody of a round too large"
    assert share[-4:].min() > 0.9
    assert learned(controller)["agents"] == len(AGENTS)
    assert learned(controller)["hit_shares"]["recency"] == 0


def test_what_is_learned_stays_behind_what_is_reported():
    controller = make_controller()
    engine = EvictingReplica(controller)
    engine.hold(Tier.DEVICE, 1, 2)
    report(controller, 1, {1: 1000.0, 2: 100_000.0})
    for _ in range(8):
        for key in AGENTS:
            engine.request(key)
    assert learned(controller)["leader"] != "recency"
    assert {1, 2} <= set(engine.on_device)
    assert max(engine.distances[1], engine.distances[2]) < min(
        distance for key, distance in engine.distances.items() if key in AGENTS
    )


def test_what_is_learned_of_an_agent_holds_for_its_other_payloads():
    controller = make_controller()
    engine = EvictingReplica(controller)
    info = engine.info._replace(kinds=(PREFIX, "adapter"))
    engine.incarnation = controller.attach(info)
    adapters = residency(dict.fromkeys(AGENTS, Tier.HOST), kind="adapter")
    controller.residency("r", engine.incarnation, (adapters,))
    for _ in range(6):
        for key in AGENTS:
            controller.residency(
                "r", engine.incarnation, (residency({key: Tier.HOST}, frozenset({key})),)
            )
            controller.residency("r", engine.incarnation, (residency({key: Tier.HOST}),))
    assert learned(controller)["leader"] != "recency"
    controller.plan()
    sent = {
        push.kind: dict(zip(push.keys.tolist(), push.distances.tolist(), strict=True))
        for push in engine.poll().distance_updates
    }
    assert sent["adapter"] == sent[PREFIX]
    assert len(sent[PREFIX]) == len(AGENTS)


def test_a_simulation_that_tells_everything_costs_nothing():
    controller = make_controller()
    engine = EvictingReplica(controller)
    report(controller, 1, dict.fromkeys(AGENTS, 3.0))
    for key in [*AGENTS, *AGENTS]:
        engine.request(key)
    assert controller.status()["learned"] == {}


def test_what_is_reported_for_its_own_step_alone_is_learned_too():
    controller = make_controller()
    engine = EvictingReplica(controller)
    pairs = [(key, key + 1) for key in AGENTS[::2]]
    found = []
    for step in range(1, 1 + 8 * len(pairs)):
        first, second = pairs[step % len(pairs)]
        report(controller, step, {first: 0.0, second: 0.5})
        found += [engine.request(first), engine.request(second)]
    assert learned(controller, "town")["agents"] == len(AGENTS)
    assert np.mean(found[-2 * len(AGENTS) :]) > 0.9, "the next pair is fetched before it is named"


def test_nothing_is_learned_any_more_once_all_is_reported_ahead():
    controller = make_controller()
    engine = EvictingReplica(controller)
    for step in range(1, 3):
        report(controller, step, dict.fromkeys(AGENTS, 0.0))
        for key in AGENTS:
            engine.request(key)
    assert learned(controller, "town")["agents"] == len(AGENTS)
    for step in range(3, 27):
        report(controller, step, dict.fromkeys(AGENTS, 1.0))
        report(controller, step + 1, {})
        for key in AGENTS:
            engine.request(key)
    assert controller.status()["learned"] == {}


def test_what_was_learned_ends_with_its_simulation():
    controller = make_controller()
    engine = EvictingReplica(controller)
    report(controller, 1, dict.fromkeys(AGENTS, np.inf))
    for key in [*AGENTS, *AGENTS]:
        engine.request(key)
    assert learned(controller, "town")["agents"] == len(AGENTS)
    controller.end("town")
    assert controller.status()["learned"] == {}


def test_what_left_every_tier_is_forgotten():
    controller = make_controller()
    engine = EvictingReplica(controller)
    for _ in range(6):
        for key in AGENTS:
            engine.request(key)
    assert set(engine.distances) == set(AGENTS)
    for key in AGENTS:
        del engine.tiers[key]
    engine.send(*AGENTS)
    settle(controller, engine)
    assert engine.distances == {}
    controller.tick()
    assert controller.status()["agents"]["total"] == 0


def test_work_and_memory_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learned_distances, "MOST_AGENTS", 50)
    controller = make_controller()
    replica = FakeReplica(controller, "r", device=1000)
    for first in range(0, 300, 100):
        some = range(first, first + 100)
        for in_use in (False, True, False):
            replica.hold(Tier.DEVICE, *some, in_use=in_use)
        assert 0 < learned(controller)["agents"] <= 50 + 32
