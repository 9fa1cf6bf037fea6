"""A Mesa model brings its agents, places and order along."""

from __future__ import annotations

import math
from typing import Any

import mesa
import pytest

import scalesim
from scalesim.errors import WorldError
from scalesim.me import Me
from scalesim.mesa_world import Activation
from scalesim.simulations.driver.drive import stepping_of
from tests.simulations.driver.test_drive import play


class Walker(mesa.Agent):  # type: ignore[misc]
    def __init__(self, model: mesa.Model, x: float) -> None:
        super().__init__(model)
        self.pos = (x, 0.0)
        self.heard: list[str] = []
        self._mood = "calm"

    async def act(self, me: Any, step: int) -> None:
        self.heard += [f"{message.sender}: {message.content}" for message in me.inbox]
        said = await me.ask(f"{self._mood} {self.heard} {[other.id for other in me.near()]}")
        for other in me.near():
            me.tell(other.id, said)
        self.pos = (self.pos[0] + 0.5, 0.0)


def model(walkers: int = 6) -> mesa.Model:
    made = mesa.Model(seed=1)
    for row in range(walkers):
        Walker(made, 4.0 * row)
    return made


async def test_places_let_its_agents_run_ahead_with_the_same_text() -> None:
    def world() -> scalesim.World:
        return scalesim.MesaWorld(model(), reach=4.5, speed=0.5)

    assert stepping_of(world(), None) == "causal"
    base = await play(world(), "barrier")
    assert (await play(world(), "causal", delays=3, concurrency=3)).texts == base.texts
    assert len(base.state.agents) == 6


@pytest.mark.parametrize("activation", ["in order", "shuffled"])
async def test_its_order_is_kept(activation: Activation) -> None:
    world = scalesim.MesaWorld(model(), activation=activation)
    played = await play(world, None)
    rows = list(world.agents())
    in_first = [rows[row] for step, row in played.order if step == 1]
    assert (in_first == rows) == (activation == "in order")
    assert sorted(in_first) == sorted(rows)


def test_what_cannot_be_kept_is_named() -> None:
    made = model(1)
    next(iter(made.agents)).friend = object()
    with pytest.raises(WorldError, match="Walker-1 keeps friend"):
        scalesim.MesaWorld(made).start("Walker-1")


class Sleeper(Walker):
    def next_turn(self, me: Me) -> float:
        return math.inf if me.step else 1.5


async def test_an_agent_of_its_own_plan_may_never_act_again() -> None:
    made = mesa.Model(seed=1)
    Sleeper(made, 0.0)
    played = await play(scalesim.MesaWorld(made), None)
    assert played.order == [(1, 0)]
    assert played.errors == []
