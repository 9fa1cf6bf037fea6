"""Who is moved so that no replica makes a step wait, and who is left in reference."""

import numpy as np
import pytest

from benchmarks.policies.makespans import makespans
from scalesim.controller.core import Controller
from scalesim.policies.placement import rendezvous
from scalesim.vocabulary import Tier, TransferStats
from tests.support.controller_view import inside
from tests.support.controller_world import (
    SIZE,
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    saved,
    settle,
)
from tests.support.table_integrity import check_integrity

AGENTS = range(60)
NAMES = ("a", "b", "c")


class ThreeReplicas:
    """Three replicas, and a controller that levels when asked."""

    def __init__(self, **settings: float) -> None:
        self.clock = ManualClock()
        self.controller = make_controller(self.clock, **settings)
        self.replicas = {name: FakeReplica(self.controller, name, device=100) for name in NAMES}

    def level(self) -> None:
        self.clock.now += 1
        for replica in self.replicas.values():
            replica.poll()
        self.controller.tick()
        check_integrity(self.controller)


def crowd(replica: str, names: tuple[str, ...] = NAMES, count: int = 12) -> list[int]:
    """Return keys that are all hashed to one replica."""
    candidates = np.arange(1000, dtype=np.int64)
    return candidates[rendezvous(candidates, names) == names.index(replica)][:count].tolist()


def homes(controller: Controller, agents: list[int]) -> dict[int, str]:
    table, _, replicas = inside(controller)
    rows = table.find(0, keys(*agents)).tolist()
    return {
        key: replicas.numbers[int(table.replica[row])]
        for key, row in zip(agents, rows, strict=True)
    }


def spread(controller: Controller, agents: list[int]) -> list[int]:
    lives = list(homes(controller, agents).values())
    return sorted(lives.count(name) for name in NAMES)


def leveled(**settings: float) -> tuple[ThreeReplicas, list[int]]:
    """Return a world after a crowded step was levelled, and who was crowded."""
    world, agents = ThreeReplicas(**settings), crowd("a")
    report(world.controller, 1, dict.fromkeys(agents, 0.0))
    world.level()
    return world, agents


@pytest.mark.parametrize("distance", [0.0, 1.0])
def test_a_crowded_step_is_spread_before_it_comes(distance: float) -> None:
    world = ThreeReplicas()
    agents = crowd("a")
    report(world.controller, 1, dict.fromkeys(agents, distance))
    assert spread(world.controller, agents) == [0, 0, 12]
    world.level()
    assert spread(world.controller, agents) == [4, 4, 4]
    settle(world.controller, *world.replicas.values())
    sent = [set(replica.distances) for replica in world.replicas.values()]
    assert sorted(map(len, sent)) == [4, 4, 4]
    assert set.union(*sent) == set(agents)


def test_level_agents_and_far_ones_stay() -> None:
    world = ThreeReplicas()
    even = [key for name in NAMES for key in crowd(name, count=4)]
    far = crowd("b", count=20)[4:]
    report(world.controller, 1, dict.fromkeys(even, 0.0) | dict.fromkeys(far, 9.0))
    before = homes(world.controller, even + far)
    world.level()
    assert homes(world.controller, even + far) == before


def test_moves_are_bounded() -> None:
    world, agents = leveled(leveling_moves=3)
    assert spread(world.controller, agents) == [1, 2, 9]
    assert world.controller.status()["leveled"] == 3


def test_nobody_moves_where_that_is_switched_off() -> None:
    world, agents = leveled(leveling_moves=0)
    assert spread(world.controller, agents) == [0, 0, 12]


def test_state_in_use_or_pinned_is_not_moved() -> None:
    world = ThreeReplicas()
    agents = crowd("a")
    running, pinned, free = agents[:4], agents[4:8], agents[8:]
    world.replicas["a"].hold(Tier.DEVICE, *running, in_use=True)
    world.controller.lifecycle("town", pin=keys(*pinned))
    report(world.controller, 1, dict.fromkeys(agents, 0.0))
    world.level()
    lives = homes(world.controller, agents)
    assert {lives[key] for key in running + pinned} == {"a"}
    assert {lives[key] for key in free} == {"b", "c"}


def test_an_agent_stays_where_it_was_moved_to_whatever_its_old_replica_still_holds() -> None:
    world, agents = leveled()
    lives = homes(world.controller, agents)
    world.replicas["a"].hold(Tier.DEVICE, *agents)
    world.replicas["b"].hold(Tier.DEVICE, *[key for key in agents if lives[key] == "b"])
    for epoch in range(2, 6):
        report(world.controller, epoch, dict.fromkeys(agents, 0.0))
        world.level()
        settle(world.controller, *world.replicas.values())
    assert homes(world.controller, agents) == lives


def test_a_request_that_ran_elsewhere_takes_its_agent_along() -> None:
    world, agents = leveled()
    moved = next(key for key, name in homes(world.controller, agents).items() if name == "b")
    world.replicas["a"].hold(Tier.DEVICE, moved, in_use=True)
    assert homes(world.controller, [moved]) == {moved: "a"}
    check_integrity(world.controller)


def test_moved_agents_stay_when_a_replica_comes_and_leave_one_that_goes() -> None:
    world, agents = leveled()
    before = homes(world.controller, agents)
    moved = [key for key, name in before.items() if name != "a"]
    FakeReplica(world.controller, "d")
    assert {key: homes(world.controller, agents)[key] for key in moved} == {
        key: before[key] for key in moved
    }
    world.controller.detach("b")
    after = homes(world.controller, agents)
    assert "b" not in after.values()
    assert all(after[key] == "c" for key in moved if before[key] == "c")
    check_integrity(world.controller)


def test_a_controller_that_died_remembers_who_was_moved() -> None:
    world, agents = leveled()
    before = homes(world.controller, agents)
    heir = make_controller(world.clock, saved(world.controller), world.controller.incarnation)
    check_integrity(heir)
    assert homes(heir, agents) == before
    for replica in world.replicas.values():
        replica.controller = heir
        replica.obey()
    assert homes(heir, agents) == before


def test_nobody_moves_while_a_remembered_replica_is_not_back() -> None:
    world = ThreeReplicas()
    agents = crowd("a")
    report(world.controller, 1, dict.fromkeys(agents, 0.0))
    heir = make_controller(world.clock, saved(world.controller), world.controller.incarnation)
    FakeReplica(heir, "a")
    heir.tick()
    assert spread(heir, agents) == [0, 0, 12]


def test_all_payloads_of_an_agent_live_together() -> None:
    world = ThreeReplicas()
    agents = crowd("a")
    table = inside(world.controller).table
    report(world.controller, 1, dict.fromkeys(agents, 0.0))
    world.replicas["a"].load("adapter", *agents[:6])
    world.level()
    world.replicas["a"].load("adapter", *agents[6:])
    adapter = table.kinds.number("adapter")
    ours, theirs = (table.replica[table.find(kind, keys(*agents))] for kind in (0, adapter))
    assert ours.tolist() == theirs.tolist()
    assert len(set(ours.tolist())) == 3
    check_integrity(world.controller)


def test_memory_is_levelled_with_agents_that_have_no_state() -> None:
    world = ThreeReplicas()
    agents = crowd("a", count=12)
    world.replicas["a"].hold(Tier.DEVICE, *agents)
    report(world.controller, 1, dict.fromkeys(agents, 50.0))
    world.level()
    assert spread(world.controller, agents) == [0, 0, 12], "those with state stay"
    for key in agents[:8]:
        del world.replicas["a"].tiers[key]
    world.replicas["a"].send(*agents[:8])
    report(world.controller, 2, dict.fromkeys(agents, 50.0))
    world.level()
    assert spread(world.controller, agents) == [4, 4, 4]


@pytest.mark.slow
def test_steps_of_the_live_controller_wait_less_than_with_hashing() -> None:
    figures = makespans(0, agents=120, steps=40)
    hashed, leveled = figures["hashed"], figures["leveled"]
    assert leveled["over_floor"] < 0.95 * hashed["over_floor"]
    assert leveled["moved"] < 0.15
    assert hashed["moved"] == 0


@pytest.mark.parametrize(("seconds", "shares"), [(1.0, [0, 0, 12]), (100.0, [3, 3, 6])])
def test_who_does_not_fit_moves_where_waiting_takes_longer_than_two_rebuilds(
    seconds: float, shares: list[int]
) -> None:
    clock = ManualClock()
    controller = make_controller(clock, replica_lease_s=1e6, simulation_lease_s=1e6)
    replicas = {name: FakeReplica(controller, name, device=6) for name in NAMES}
    for replica in replicas.values():  # seconds for an agent's state
        slow = TransferStats("prefix", computed_bytes=SIZE, computed_s=1e5)
        for transfer in (TransferStats("prefix"), slow):
            controller.transfer(replica.name, replica.incarnation, transfer)
    agents = crowd("a")
    replicas["a"].hold(Tier.HOST, *agents, in_use=True)
    clock.now += seconds
    replicas["a"].hold(Tier.HOST, *agents)
    report(controller, 1, dict.fromkeys(agents, 0.0))
    clock.now += 1
    controller.tick()
    assert spread(controller, agents) == shares
