"""The controller on a virtual clock: messages arrive in order, and a silent engine is not dead."""

from __future__ import annotations

import numpy as np
import pytest

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.messages import Hello
from scalesim.simulations.emulated.emulated_case import ARMS
from scalesim.simulations.emulated.emulated_controller import ControlPlane
from scalesim.vocabulary import PREFIX, Budgets, Directives, Residency

HELLO = Hello((PREFIX,), (Budgets(10_000, 10_000, 0),), 10)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def heard() -> list[Directives]:
    return []


@pytest.fixture
def plane(clock: VirtualClock, heard: list[Directives]) -> ControlPlane:
    plane = ControlPlane(clock.now, ARMS["scalesim"], lambda _, said: heard.append(said), "town")
    plane.hear(HELLO)
    return plane


def let_pass(plane: ControlPlane, clock: VirtualClock, seconds: float) -> None:
    until = clock.now() + seconds
    while clock.now() < until:
        clock.advance(1e-3)
        plane.go_on()


def test_a_replica_to_which_nothing_is_said_stays(plane: ControlPlane, clock: VirtualClock) -> None:
    let_pass(plane, clock, 30.0)
    one = np.array([7])
    plane.hear(Residency(PREFIX, one, one, one, one, one, one > 0))
    let_pass(plane, clock, 0.1)
    assert plane.core.counters.replicas_lost == 0


def test_distances_on_their_way_as_steps_begin_are_of_the_step_they_left_in(
    plane: ControlPlane, clock: VirtualClock, heard: list[Directives]
) -> None:
    for step in range(1, 60):  # while one is on its way the next begins
        plane.step(step, {})
        plane.wake(f"agent-{step}", step + 3.0)
        let_pass(plane, clock, 1e-3)
    let_pass(plane, clock, 0.1)
    assert plane.core.counters.stale_reports == 0
    pushed = [update for directives in heard for update in directives.distance_updates]
    assert sum(len(update.keys) for update in pushed) >= 59
