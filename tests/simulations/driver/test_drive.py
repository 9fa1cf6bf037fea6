"""The same text in every stepping, whatever takes how long."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import scalesim
from scalesim.me import Me
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.drive import (
    DriveOptions,
    Stepping,
    conductor_of,
    drive,
    stepping_of,
)
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_state import WorldState, state_of
from tests.support.driver_worlds import ALL, Gathering, HashModel, Posters, Talk, Walkers

STEPS = 6


class PlayedWorld:
    """A World run to its end in this process."""

    def __init__(self, turns: list[TakenTurn], state: WorldState, floors: list[int]) -> None:
        self.state, self.floors = state, floors
        self.order = [(turn.step, turn.row) for turn in turns]
        self.calls = {(c.row, c.step, c.call): c.answer.text for turn in turns for c in turn.calls}
        self.errors = [turn.error for turn in turns if turn.error]
        self.texts = {
            (turn.row, turn.step): (turn.state, turn.sent, [x.answer.text for x in turn.calls])
            for turn in turns
        }


async def play(
    world: scalesim.World,
    stepping: Stepping | None,
    *,
    delays: int | None = None,
    concurrency: int = 64,
) -> PlayedWorld:
    options = DriveOptions(STEPS, stepping, concurrency)
    runner = TurnRunner(world, HashModel(delays), "test", STEPS + 1)
    roster = Roster(world)
    state = state_of(roster, world, runner)
    conductor = conductor_of(world, roster, state, options)
    turns: list[TakenTurn] = []
    floors: list[int] = []

    def watch(step: int, taken: list[TakenTurn], seconds: float) -> None:
        floors.append(step)
        turns.extend(taken)

    pool = LocalPool(runner)
    await drive(conductor, state, pool, options, watch)
    await pool.close()
    return PlayedWorld(turns, state, floors)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("seed", range(10))
async def test_the_text_is_the_same_in_every_stepping(
    kind: type[scalesim.World], seed: int
) -> None:
    base = await play(kind(14, seed), "barrier")
    assert any(texts for *_, texts in base.texts.values())
    stepping = stepping_of(kind(14, seed), None)
    for delays, concurrency in ((seed, 64), (seed + 100, 3)):
        other = await play(kind(14, seed), stepping, delays=delays, concurrency=concurrency)
        assert other.texts == base.texts
        assert not any(agent.mail and agent.next_step <= STEPS for agent in other.state.agents)


class Apart(scalesim.World):
    """Two who never meet; the first one's first turn ends after the second one's last."""

    reach, speed = 1.0, 1.0

    def __init__(self) -> None:
        super().__init__(agents=2)
        self.last = asyncio.Event()

    def position(self, state: dict[str, Any]) -> tuple[float, float]:
        return (state["x"], 0.0)

    def start(self, agent: str) -> dict[str, Any]:
        return {"x": 100.0 * int(agent[-1])}

    async def act(self, me: Me, step: int) -> None:
        if me.id == "agent-0" and step == 1:
            await self.last.wait()
        elif step == STEPS:
            self.last.set()


async def test_an_agent_that_nobody_can_reach_runs_ahead() -> None:
    played = await play(Apart(), None)
    assert played.order[: STEPS - 1] == [(step, 1) for step in range(1, STEPS)]
    assert played.floors == list(range(1, STEPS + 1))
    assert all(len(agent.shown) <= STEPS for agent in played.state.agents)


def test_a_world_steps_out_of_order_where_it_says_who_can_meet() -> None:
    assert stepping_of(Walkers(), None) == "causal"
    assert stepping_of(Walkers(), "barrier") == "barrier"
    assert stepping_of(Gathering(), None) == "barrier"
    for world in (Gathering(), Talk()):
        with pytest.raises(scalesim.ScaleSimError, match="--stepping barrier"):
            stepping_of(world, "causal")


class Hidden(Posters):
    """Nobody shows anything; what is told arrives all the same."""

    def public(self, state: dict[str, Any]) -> Any:
        return None

    async def act(self, me: Me, step: int) -> None:
        assert me.near() == ()
        heard = [tuple(message) for message in me.inbox]
        me.state["said"] = await me.ask(f"{step} {heard}")
        for other in self.hears(me):
            me.tell(other, me.state["said"])


async def test_who_hides_is_not_seen_and_can_be_told() -> None:
    played = await play(Hidden(8, 1), None)
    assert not played.errors
    assert any(sent for _, sent, _ in played.texts.values())


class AsksAtOnce(Gathering):
    async def act(self, me: Me, step: int) -> None:
        await asyncio.gather(*(me.ask(f"{step} {number}") for number in range(3)))


async def test_calls_made_at_once_are_numbered_as_they_were_asked() -> None:
    base, delayed = await play(AsksAtOnce(4), None), await play(AsksAtOnce(4), None, delays=1)
    assert delayed.texts == base.texts
    assert delayed.calls == base.calls


@pytest.mark.parametrize("stepping", ["barrier", "causal"])
async def test_turns_under_way_are_timed_while_a_step_is_kept(stepping: Stepping) -> None:
    world, spent, took = Walkers(6, 1), [], []
    options = DriveOptions(STEPS, stepping)
    runner = TurnRunner(world, HashModel(), "test", STEPS + 1)
    roster = Roster(world)
    state = state_of(roster, world, runner)

    def watch(step: int, taken: list[TakenTurn], seconds: float) -> None:
        begun = time.monotonic()
        while time.monotonic() < begun + 0.01:
            """As a disk that is slow."""
        took.append(seconds)
        spent.append(time.monotonic() - begun)

    pool = LocalPool(runner)
    await drive(conductor_of(world, roster, state, options), state, pool, options, watch)
    await pool.close()
    assert all(later >= before for before, later in zip(spent, took[1:], strict=False))
