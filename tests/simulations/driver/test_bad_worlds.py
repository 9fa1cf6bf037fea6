"""What a World must not do is an error that names the agent and the step."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scalesim
from scalesim.errors import OutOfReachError, WorldError
from scalesim.headers import CachedTokens
from scalesim.me import Chat, Me, TextListener
from scalesim.simulations.arm_run import Run
from scalesim.simulations.chat_caller import Answer, ChatAnswer
from scalesim.simulations.driver.drive import DriveOptions, OnError
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.driver_worlds import HashModel

STEPS = 3


class Bad(scalesim.World):
    """Two agents far apart; agent-1 misbehaves in step 2."""

    reach, speed = 1.0, 1.0

    def __init__(self, deed: str) -> None:
        super().__init__(agents=2)
        self.deed = deed

    def start(self, agent: str) -> dict[str, Any]:
        return {"x": 100.0 * int(agent[-1])}

    def position(self, state: dict[str, Any]) -> tuple[float, float] | None:
        return None if state["x"] is None else (state["x"], 0.0)

    def public(self, state: dict[str, Any]) -> Any:
        return {"x": np.float64(state["x"] or 0.0)}

    def next_turn(self, me: Me) -> int:
        return me.step if self.deed == "never later" and me.step == 2 else me.step + 1

    async def act(self, me: Me, step: int) -> None:
        await me.ask(f"{me.id} {step}")
        if me.id == "agent-1" and step == 2:
            await self.misbehave(me)

    async def misbehave(self, me: Me) -> None:
        match self.deed:
            case "raise":
                raise ZeroDivisionError("one by none")
            case "look far":
                me.see("agent-0")
            case "look at nobody":
                me.see("agent-7")
            case "tell nobody":
                me.tell("agent-7", "hello")
            case "tell far":
                me.tell("agent-0", "hello")
            case "keep an object":
                me.state["self"] = self
            case "exit":
                sys.exit(3)
            case "keep a set":
                me.state["met"] = {"agent-0"}
            case "wait for what is cancelled":
                raise asyncio.CancelledError
            case "tell an object":
                me.tell("agent-1", {1, object()})
            case "run":
                me.state["x"] += 1.5
            case "fly off":
                me.state["x"] = float("nan")
            case "vanish":
                me.state["x"] = None
            case "write on the world":
                self.weather = "rain"
            case "ask a busy model":
                await me.ask("fail")


class FailingModel(HashModel):
    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        if messages[0]["content"] == "fail":
            nan = float("nan")
            answer = Answer("", "HTTP 503: busy", 0.0, nan, 0.1, CachedTokens(), 0, "")
            return ChatAnswer(answer, {}, {})
        return await super().chat(row, agent, messages, parameters, on_text)


def run(world: scalesim.World, folder: Path, on_error: OnError) -> Run:
    def pool() -> LocalPool:
        return LocalPool(TurnRunner(world, FailingModel(), "test", STEPS + 1))

    described = WorldRun(world, DriveOptions(STEPS, on_error=on_error), "test", folder)
    return asyncio.run(run_world(described, FailingModel, pool, None, lambda *_: None))


DEEDS = {
    "raise": "ZeroDivisionError: one by none",
    "look far": "whom it does not see",
    "look at nobody": "there is no such agent",
    "tell nobody": "there is no such agent",
    "tell far": "out of its reach",
    "keep an object": "cannot be written down",
    "exit": "ends the program: SystemExit",
    "keep a set": "a set cannot be written down: it has no order",
    "wait for what is cancelled": "CancelledError: no message",
    "tell an object": "out of its reach|cannot be written down",
    "run": "moved 1.5, faster than the World's speed of 1",
    "fly off": "use finite numbers",
    "vanish": "always or never",
    "write on the world": "Bad.weather was set in a turn",
    "ask a busy model": "did not answer: HTTP 503",
    "never later": "next_turn must be later",
}


@pytest.mark.parametrize("deed", DEEDS)
def test_the_error_names_agent_and_step(tmp_path: Path, deed: str) -> None:
    who = "agent-[01]" if deed == "never later" else "agent-1"
    with pytest.raises(WorldError, match=f"{who} in step 2.*({DEEDS[deed]})"):
        run(Bad(deed), tmp_path / "stop", "stop")
    kept = run(Bad(deed), tmp_path / "continue", "continue")
    failed = [error for error in kept.calls.errors if error]
    assert len(failed) == (2 if deed == "never later" else 1)
    asked = {(agent, step) for agent, step, _ in kept.calls.by_call()}
    assert asked == {(agent, step) for agent in (0, 1) for step in (1, 2, 3)}


def test_out_of_reach_is_an_error_of_its_own() -> None:
    assert issubclass(OutOfReachError, WorldError)


class ByTurns(scalesim.World):
    """Agents alternate; the first turn fails."""

    def order(self, step: int) -> list[str]:
        return [f"agent-{step % 2}"]

    async def act(self, me: Me, step: int) -> None:
        await me.ask(f"{me.id} {step}" if step > 1 else "fail")


def test_who_failed_acts_again_in_its_order(tmp_path: Path) -> None:
    asked = run(ByTurns(2), tmp_path, "continue").calls.by_call()
    assert {(agent, step) for agent, step, _ in asked} == {(1, 1), (0, 2), (1, 3)}


class Twice(scalesim.World):
    def agents(self) -> list[str]:
        return ["ann", "ben", "ann"]


class Stranger(scalesim.World):
    def edges(self) -> list[tuple[str, str]]:
        return [("agent-00", "zoe")]


class Circle(scalesim.World):
    def depends_on(self, agent: str) -> list[str]:
        return ["agent-00"] if agent == "agent-01" else ["agent-01"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [(Twice, "3 names, 2 of them"), (Stranger, "names 'zoe'"), (Circle, "form a cycle")],
)
def test_a_roster_that_makes_no_sense(kind: type[scalesim.World], what: str) -> None:
    with pytest.raises(WorldError, match=what):
        Roster(kind())


async def test_a_world_says_what_a_turn_is() -> None:
    runner = TurnRunner(scalesim.World(1), HashModel(), "test", 2)
    assert runner.begin(0).next_turn == 1
