"""What replicas and simulations measure, and quotas, reach the planner."""

import pytest

from scalesim.controller.core import Controller
from scalesim.policies.links import Links
from scalesim.vocabulary import Tier, TransferStats, Verb
from tests.support.controller_world import (
    SIZE,
    FakeReplica,
    ManualClock,
    make_controller,
    report,
    settle,
)


def fetched(replica: FakeReplica) -> set[int]:
    """Return the payloads that a replica is asked to fetch."""
    directives = replica.poll()
    assert directives is not None
    return {
        key
        for moves in directives.moves
        for key, verb in zip(moves.keys.tolist(), moves.verbs, strict=True)
        if verb == Verb.PREFETCH
    }


def measure(replica: FakeReplica, bytes_per_s: int) -> None:
    """Report what the link from host memory carried in some minutes."""
    for second in range(200):
        transfer = TransferStats(
            "prefix", loaded_bytes=bytes_per_s * second, loaded_s=float(second)
        )
        replica.controller.transfer(replica.name, replica.incarnation, transfer)


def links(controller: Controller, name: str) -> dict[str, float]:
    found: dict[str, float] = controller.status()["replicas"][name]["links"]
    return found


def test_a_slow_link_is_asked_for_no_more_than_it_carries() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r", device=10)
    replica.hold(Tier.HOST, *range(8))
    measure(replica, 250)
    assert links(controller, "r")["host_bytes_per_s"] == pytest.approx(250, rel=0.01)
    assert links(controller, "r")["storage_bytes_per_s"] == Links().storage_bytes_per_s
    report(controller, 1, {key: float(key) for key in range(8)})
    controller.plan()
    assert fetched(replica) == {0, 1, 2}


def test_kinds_are_measured_apart() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r")
    for second in range(200):
        transfer = TransferStats("adapter", loaded_bytes=1000 * second, loaded_s=float(second))
        controller.transfer("r", replica.incarnation, transfer)
    assert links(controller, "r")["host_bytes_per_s"] == Links().host_bytes_per_s


def test_replicas_are_measured_apart() -> None:
    controller = make_controller()
    measure(FakeReplica(controller, "slow"), 10**6)
    FakeReplica(controller, "other")
    assert links(controller, "slow")["host_bytes_per_s"] < 2e6
    assert links(controller, "other")["host_bytes_per_s"] == Links().host_bytes_per_s


@pytest.mark.parametrize(("step_s", "in_time"), [(60.0, {1}), (0.5, set())])
def test_what_arrives_in_time_depends_on_how_long_steps_take(
    step_s: float, in_time: set[int]
) -> None:
    clock = ManualClock()
    controller = make_controller(clock, simulation_lease_s=1e6)
    replica = FakeReplica(controller, "r", device=10)
    replica.hold(Tier.HOST, 1)
    measure(replica, SIZE // 10)
    for epoch in range(1, 4):
        clock.now += step_s
        report(controller, epoch, {1: 0.0})
    controller.plan()
    assert fetched(replica) == in_time


def test_a_simulation_with_a_quota_leaves_the_rest_of_the_device_alone() -> None:
    controller = make_controller(quotas={"town": 0.2})
    replica = FakeReplica(controller, "r", device=10)
    replica.hold(Tier.HOST, *range(20))
    report(controller, 1, dict.fromkeys(range(10), 0.0), "town")
    report(controller, 1, dict.fromkeys(range(10, 20), 5.0), "city")
    settle(controller, replica)
    on_device = {key for key, tier in replica.tiers.items() if tier is Tier.DEVICE}
    assert len(on_device & set(range(10))) == 2
    assert len(on_device & set(range(10, 20))) == 8


def test_a_queued_fetch_is_called_back_once_nobody_needs_it() -> None:
    controller = make_controller()
    replica = FakeReplica(controller, "r", device=3)
    replica.hold(Tier.HOST, *range(4))
    report(controller, 1, {0: 0.0, 1: 1.0})
    controller.plan()
    asked = replica.poll()
    assert asked is not None
    assert fetched(replica) == {0, 1}
    replica.acked = asked.sequence
    assert replica.poll() is None, "acknowledged, and still queued in the engine"
    report(controller, 1, {0: float("inf")})
    controller.plan()
    called_back = replica.poll()
    assert called_back is not None
    (moves,) = called_back.moves
    assert (moves.keys.tolist(), moves.verbs.tolist()) == ([0], [Verb.DEMOTE])
    assert moves.tiers.tolist() == [Tier.HOST]
    settle(controller, replica)
    assert replica.tiers[0] is Tier.HOST
