"""What the stand-ins of peers predict from requests alone."""

from __future__ import annotations

import numpy as np
import pytest

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.messages import Hello
from scalesim.identity import agent_keys
from scalesim.simulations.emulated.emulated_case import ARMS, Peer
from scalesim.simulations.emulated.emulated_controller import ControlPlane
from scalesim.simulations.emulated.learned_transitions import SURE, LearnedTransitions
from scalesim.simulations.emulated.predicted_invocations import LAGS, PredictedInvocations
from scalesim.vocabulary import PREFIX, Budgets, Directives, Residency, Verb

TEAM, ROUNDS = 3, 12


def play_rounds(peer: Peer, agents: int) -> int:
    """Ask in teams of three, one team a step, in turn; return the step that comes next."""
    step = 0
    for _ in range(ROUNDS):
        for first in range(0, agents, TEAM):
            for row in range(first, first + TEAM):
                peer.asked(step, row)
            step += 1
    return step


def test_predicted_invocations_are_as_far_as_the_steps_until_them() -> None:
    peer = PredictedInvocations(15)
    play_rounds(peer, 15)  # the last team asked last
    found = peer.distances()
    steps = np.repeat([1, 2, 3, 4], TEAM)
    assert found[: 4 * TEAM] == pytest.approx(steps, abs=0.5)
    assert found[4 * TEAM :].min() > LAGS  # itself again: in five steps


def test_an_agent_that_asks_half_of_the_time_is_farther_than_one_that_always_does() -> None:
    peer = PredictedInvocations(4)
    for step in range(40):
        peer.asked(step, step % 2)
        if step % 2:
            peer.asked(step, 2)
            if step % 4 == 1:
                peer.asked(step, 3)
    peer.asked(40, 0)
    found = peer.distances()
    assert found[1] == pytest.approx(found[2], abs=0.3)
    assert found[2] + 0.5 < found[3] < LAGS


def test_before_anything_is_known_all_are_as_far() -> None:
    for peer in (PredictedInvocations(5), LearnedTransitions(5)):
        assert len(set(peer.distances().tolist())) == 1


def test_a_chain_that_is_sure_puts_the_next_team_first() -> None:
    peer = LearnedTransitions(12)
    play_rounds(peer, 12)
    assert peer.certainty() > 0.9
    assert set(np.argsort(peer.distances())[:TEAM].tolist()) == {0, 1, 2}


def test_a_chain_without_any_order_says_nothing() -> None:
    peer = LearnedTransitions(10)
    for step, row in enumerate(np.random.default_rng(0).integers(0, 10, 2000).tolist()):
        peer.asked(step, row)
    assert peer.certainty() < SURE
    assert len(set(peer.distances().tolist())) == 1


def test_what_is_farther_than_a_peer_fetches_stays_where_it_is() -> None:
    clock, heard = VirtualClock(), list[Directives]()
    plane = ControlPlane(
        clock.now, ARMS["official scalesim"], lambda _, directives: heard.append(directives), "town"
    )
    plane.hear(Hello((PREFIX,), (Budgets(10_000, 10_000, 0),), 10))
    keys = agent_keys("town", ["near", "far"])
    size, nothing = np.full(2, 100), np.zeros(2, np.int64)
    plane.hear(Residency(PREFIX, keys, nothing, size, nothing, size, nothing > 0))
    plane.step(1, {"near": 2.0, "far": 3.0})
    for _ in range(500):
        clock.advance(1e-3)
        plane.go_on()
    moved = [
        (int(verb), int(key))
        for directives in heard
        for moves in directives.moves
        for verb, key in zip(moves.verbs, moves.keys, strict=True)
    ]
    assert set(moved) == {(int(Verb.PREFETCH), int(keys[0]))}
