"""The driver's truth: what every agent remembers, shows and is sent, as far back as needed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.policies.stepping import Space
from scalesim.simulations.driver.agent_turns import (
    HIDDEN,
    AgentMessage,
    AgentTurn,
    SeenAgent,
    TakenTurn,
    step_of,
)
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.world import World

Position = tuple[float, float] | None
_NAN = float("nan")


class ShownState(NamedTuple):
    """What an agent shows, and where it is, from the end of a step on."""

    step: int
    public: bytes
    place: Position


class AgentRecord:
    """One agent between its turns.

    Attributes:
        state: What it remembers, in msgpack.
        next_turn: When it acts next: the step, and a fraction for its place in it; inf for never.
        shown: What it showed, oldest first, as far back as somebody behind it may look.
        mail: Messages sent to it that it has not read.
    """

    __slots__ = ("mail", "next_turn", "shown", "state")

    def __init__(
        self, state: bytes, next_turn: float, shown: list[ShownState], mail: list[AgentMessage]
    ) -> None:
        self.state, self.next_turn, self.shown, self.mail = state, next_turn, shown, mail

    @property
    def next_step(self) -> int:
        """Step of its next turn."""
        return step_of(self.next_turn)

    def as_of(self, step: int) -> ShownState:
        """Return what it showed at the end of a step."""
        return next(shown for shown in reversed(self.shown) if shown.step <= step)

    def forget(self, step: int) -> None:
        """Drop what nobody looks at who looks at the end of `step` or later."""
        while len(self.shown) > 1 and self.shown[1].step <= step:
            del self.shown[0]


class WorldState:
    """Every agent between its turns: gives turns all they may know, takes in what came of them.

    Args:
        roster: Roster of the World.
        reach: How far agents see, where they have places.
        speed: How far they move in a step.
        agents: All of them, by row.
    """

    def __init__(
        self, roster: Roster, reach: float, speed: float, agents: list[AgentRecord]
    ) -> None:
        self.agents = agents
        self._roster, self._reach, self._speed = roster, reach, speed
        self._sees = _by_second(roster.seen)
        self._follows = _by_second(roster.parents)
        self._everyone: tuple[int, tuple[SeenAgent, ...]] = (-1, ())
        self.space: Space | None = None
        self.place_all()

    def place_all(self) -> None:
        """Put all agents where they are, again; `took` leaves moving to the conductor."""
        if self._roster.spatial:
            agents = self.agents
            places = [agent.shown[-1].place or (_NAN, _NAN) for agent in agents]
            steps = np.array([agent.next_step for agent in agents], np.int64)
            self.space = Space(np.array(places), steps, max(self._reach + self._speed, 1e-9))

    def turns(self, rows: Rows) -> list[AgentTurn]:
        """Return the next turns of agents that may take them."""
        near = self.near(rows)
        return [self._turn(row, near.get(place, [])) for place, row in enumerate(rows.tolist())]

    def near(self, rows: Rows) -> dict[int, list[int]]:
        """Return who may be within reach of agents in their next turns, by place in `rows`."""
        near: dict[int, list[int]] = {}
        if self.space is not None:  # who is ahead has moved once at most since it was near
            asks, there = self.space.within(rows, (self._reach + self._speed) * (1 + 1e-9) + 1e-9)
            for place, other in zip(asks.tolist(), there.tolist(), strict=True):
                near.setdefault(place, []).append(other)
        return near

    def took(self, turn: TakenTurn, floor: int) -> None:
        """Take in what came of a turn; nobody looks back before the end of step `floor - 1`."""
        agent = self.agents[turn.row]
        agent.state, agent.next_turn = turn.state, turn.next_turn
        agent.mail = [letter for letter in agent.mail if not self._read(turn, letter)]
        agent.shown.append(ShownState(turn.step, turn.public, turn.place))
        agent.forget(floor - 1)
        for number, (row, content) in enumerate(turn.sent):
            self.agents[row].mail.append(AgentMessage(turn.step, turn.row, number, content))

    def _turn(self, row: int, near: list[int]) -> AgentTurn:
        agent = self.agents[row]
        step = agent.next_step
        sees = (
            self._everyone_at(step) if self._roster.open else tuple(self._sights(row, step, near))
        )
        inbox = sorted(x for x in agent.mail if x.step <= self._latest(row, x.sender, step))
        return AgentTurn(row, step, agent.state, sees, tuple(inbox))

    def _read(self, turn: TakenTurn, letter: AgentMessage) -> bool:
        return not turn.error and letter.step <= self._latest(turn.row, letter.sender, turn.step)

    def _latest(self, row: int, other: int, step: int) -> int:
        """Return as of the end of which step an agent's turn knows another one."""
        return step if self._roster.ordered or other in self._follows.get(row, ()) else step - 1

    def _sights(self, row: int, step: int, near: Iterable[int]) -> Iterable[SeenAgent]:
        follows = self._follows.get(row, ())
        known = {*follows, *self._sees.get(row, ())}
        here = self.agents[row].as_of(step - 1).place
        for other in sorted({*known, *near}):
            shown = self.agents[other].as_of(self._latest(row, other, step))
            apart = math.dist(here, shown.place) if here and shown.place else _NAN
            if other in known or apart <= self._reach:
                yield SeenAgent(other, shown.public, apart)

    def _everyone_at(self, step: int) -> tuple[SeenAgent, ...]:
        """Return what all show to a turn, the same for all turns of a step."""
        if self._everyone[0] != step or self._roster.ordered:
            latest = step if self._roster.ordered else step - 1
            shown = [agent.as_of(latest).public for agent in self.agents]
            sights = (SeenAgent(row, one, _NAN) for row, one in enumerate(shown) if one != HIDDEN)
            self._everyone = (step, tuple(sights))
        return self._everyone[1]


def _by_second(pairs: Rows) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for first, second in pairs.tolist():
        found.setdefault(second, set()).add(first)
    return found


def state_of(roster: Roster, world: World, runner: TurnRunner) -> WorldState:
    """Return the agents of a World before its first step.

    Raises:
        WorldError: One of them cannot begin.
    """
    begun = (runner.begin(row) for row in range(len(roster)))
    agents = [
        AgentRecord(one.state, one.next_turn, [ShownState(0, one.public, one.place)], [])
        for one in begun
    ]
    return WorldState(roster, world.reach, world.speed, agents)
