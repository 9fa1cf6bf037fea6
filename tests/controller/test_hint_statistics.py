"""What is counted as requests come to use payloads."""

from __future__ import annotations

import pytest

from scalesim.controller.catalog.rows import CatalogSnapshot
from scalesim.controller.core import Controller
from scalesim.vocabulary import Tier
from tests.support.controller_world import FakeReplica, ManualClock, make_controller, report


def use(replica: FakeReplica, *agents: int) -> None:
    """Requests of these agents come and end; their state is on the device afterwards."""
    for agent in agents:
        replica.hold(replica.tiers[agent], agent, in_use=True)
        replica.hold(Tier.DEVICE, agent)


def test_uses_are_counted_by_the_reported_distance() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.HOST, 1, 2, 3)
    report(controller, 1, {1: 0.0, 2: 3.0})
    replica.hold(Tier.HOST, 1, 2, 3, in_use=True)
    replica.send(1)
    uses = controller.status()["uses"]
    assert {name: count for name, count in uses.items() if count} == {
        "0": 1,
        "4": 1,
        "none": 1,
    }


def test_a_use_that_comes_before_a_prefetch_is_answered_counts() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.HOST, 1)
    report(controller, 1, {1: 2.0})
    controller.plan()  # orders a prefetch
    replica.hold(Tier.HOST, 1, in_use=True)
    assert sum(controller.status()["uses"].values()) == 1


def test_hints_are_compared_with_what_came() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.HOST, 1, 2, 3, 4)
    report(controller, 1, {1: 3.0, 2: 3.0, 3: 3.0})
    report(controller, 3, {})
    use(replica, 1, 4)  # a step early; of 4 nothing was reported
    report(controller, 4, {})
    use(replica, 2)
    report(controller, 6, {})
    use(replica, 3)  # two steps late
    hints = controller.status()["hints"]
    assert hints == {"early_steps": 1, "late_steps": 2, "age_steps": 2 + 3 + 5}


def test_a_hint_from_before_a_restart_has_no_age() -> None:
    first = make_controller()
    report(first, 1, {1: 3.0})
    batch = first.take_dirty()
    assert batch is not None
    second = make_controller(snapshot=CatalogSnapshot(batch.rows, batch.names))
    replica = FakeReplica(second, "r1")
    replica.hold(Tier.HOST, 1)
    use(replica, 1)
    assert second.status()["hints"] == {"early_steps": 3, "late_steps": 0, "age_steps": 0}


def test_payloads_are_counted_by_kind_and_tier() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.HOST, 1, 2)
    use(replica, 1, 1, 2)
    replica.tiers[3] = Tier.STORAGE  # nothing was reported of it before its request
    use(replica, 3)
    found = controller.status()["found"]
    assert found == {"prefix": {"device": 1, "host": 2, "storage": 0, "absent": 0}}


def ring(controller: Controller, replica: FakeReplica, agents: int, rounds: int) -> None:
    """Agents ask in turn; each state is on the device only while it is used."""
    for _ in range(rounds):
        for agent in range(agents):
            use(replica, agent)
            replica.hold(Tier.HOST, agent)
            controller.tick()


def test_requests_are_shown_to_the_shadows() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r1", device=3)
    replica.hold(Tier.HOST, *range(6))
    assert controller.status()["hits"] == {}
    ring(controller, replica, agents=6, rounds=20)
    hits = controller.status()["hits"]
    assert (hits["stack"], hits["lru"]) == (0, 0)
    assert hits["oracle"] == pytest.approx(2 / 5, abs=0.05)


def test_the_time_of_a_step_is_that_of_the_last_ones() -> None:
    clock = ManualClock()
    controller = make_controller(clock)

    def step_s() -> float:
        return float(controller.status()["simulations"]["town"]["step_s"])

    for epoch, seconds in ((1, 5.0), (1, 5.0), (2, 4.0), (6, 0.0)):
        report(controller, epoch, {1: 1.0})
        assert step_s() == pytest.approx({1: 0, 2: 10, 6: 8.2}[epoch])
        clock.now += seconds
    controller.end("town")
    report(controller, 0, {1: 1.0})
    assert step_s() == 0
