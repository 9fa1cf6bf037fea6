"""Wall clocks that jump: nobody loses a lease, nothing stops."""

import time

import numpy as np
import pytest

from scalesim.controller import clock
from scalesim.controller.clock import next_incarnation
from scalesim.controller.core import Controller
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import Tier
from tests.support.controller_world import FakeReplica, keys, report, settle

DAY_S = 86_400.0


class Clocks:
    """A wall clock that is set at will, and one that only goes on."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.ahead_s = 0.0

    def wall(self) -> float:
        return 1.8e9 + self.elapsed_s + self.ahead_s

    def monotonic(self) -> float:
        return 77.0 + self.elapsed_s


def make(clocks: Clocks) -> Controller:
    return Controller(
        ControllerSettings(),
        CatalogSettings(),
        DistancePlanner(),
        rendezvous,
        clock=clock.steady(clocks.wall, clocks.monotonic),
    )


def test_it_shows_the_wall_s_time_and_goes_on_by_itself() -> None:
    clocks = Clocks()
    now = clock.steady(clocks.wall, clocks.monotonic)
    assert now() == 1.8e9
    clocks.ahead_s, clocks.elapsed_s = -DAY_S, 5.0
    assert now() == 1.8e9 + 5


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S, 1e9, -1e9])
def test_jumps_drop_no_pins_and_stop_no_leveling(jump_s: float) -> None:
    clocks = Clocks()
    controller = make(clocks)
    first, second = FakeReplica(controller, "r1"), FakeReplica(controller, "r2")
    controller.lifecycle("town", pin=keys(1))
    report(controller, 1, {key: 0.0 for key in range(20)})
    settle(controller, first, second)
    controller.tick()
    clocks.ahead_s = jump_s
    clocks.elapsed_s += 1.0
    controller.tick()
    status = controller.status()
    assert status["agents"]["pinned"] == 1
    assert set(status["replicas"]) == {"r1", "r2"}
    assert status["simulations"]["town"]["silent_s"] == pytest.approx(1.0)
    assert controller.counters.simulations_expired == controller.counters.replicas_lost == 0
    many = np.arange(1000, dtype=np.int64)
    crowd = many[rendezvous(many, ("r1", "r2")) == 0][:12].tolist()
    report(controller, 2, dict.fromkeys(crowd, 0.0))
    clocks.elapsed_s += 1.0
    controller.tick()
    assert controller.status()["leveled"] > status["leveled"]


def test_the_controller_s_own_clock_is_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    now, ahead_s = time.time(), 0.0
    monkeypatch.setattr(time, "time", lambda: now + ahead_s)
    controller = Controller(ControllerSettings(), CatalogSettings(), DistancePlanner(), rendezvous)
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.DEVICE, 1)
    controller.lifecycle("town", pin=keys(1))
    ahead_s = 100 * DAY_S
    controller.tick()
    assert controller.status()["agents"]["pinned"] == 1
    assert set(controller.status()["replicas"]) == {"r1"}


def test_the_clock_alone_makes_it_grow() -> None:
    assert next_incarnation(100.0) == 100_000
    assert next_incarnation(100.001) > next_incarnation(100.0)


def test_what_is_remembered_is_exceeded_when_the_clock_went_back() -> None:
    assert next_incarnation(1.0, saved=5000) == 5001
    assert next_incarnation(1.0, saved=5000, seen=7000) == 7001
