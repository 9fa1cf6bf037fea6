"""When each agent calls next, by what its World says, in the order in which turns can begin."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from scalesim.policies.distance.estimator_base import Estimator, Nearest
from scalesim.policies.distance.graph import Diffusion
from scalesim.policies.distance.scheduled import Wake
from scalesim.policies.distance.spatial import Encounters
from scalesim.policies.planning import Rows
from scalesim.policies.stepping import Conductor
from scalesim.sender import Stats
from scalesim.simulation import Simulation
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.world_state import AgentRecord
from scalesim.vocabulary import Distances
from scalesim.world import World

_PERIOD_S = 0.1
"""Between two reports within a step."""

_CHANGED_STEPS = 0.25
"""A distance is reported again when it has changed by more."""


class Foresight(Protocol):
    """Reports how far agents are from their next calls, as their turns are taken."""

    def begin(self, agents: Sequence[AgentRecord], conductor: Conductor) -> None:
        """Report how all agents stand, by row, before the first turn."""
        ...

    def took(self, turns: Sequence[TakenTurn], floor: int) -> None:
        """Note turns that were taken."""
        ...

    def report(self, conductor: Conductor) -> None:
        """Report what has changed."""
        ...

    def close(self) -> Stats:
        """Send what is left; returns what became of all that was reported."""
        ...


class Forecast:
    """Distances of a World's agents, reported as its turns are taken.

    `position` is read as encounters, `edges` as spreading from those who have just called, and
    `next_turn`, `rate` and `order` as the step of the next turn, which is known. No agent is nearer
    than the turns that must end before its own.

    Args:
        world: What is known.
        roster: Its agents.
        hints: Where to report.
    """

    def __init__(self, world: World, roster: Roster, hints: Simulation) -> None:
        agents = len(roster)
        self._names, self._hints = roster.names, hints
        self._wake, self._encounters = Wake(agents), Encounters(agents, world.reach)
        self._spread = Diffusion(agents, roster.seen)
        planned = any(map(world.knows, ("next_turn", "rate", "order")))
        known: list[Estimator] = []
        if roster.spatial:
            known.append(self._encounters)
        if len(roster.seen):
            known.append(self._spread)
        if planned or not known:
            known.append(self._wake)
        self._nearest = Nearest(*known)
        self._in_a_row = max(1, len(roster.order(1))) if roster.ordered else 1
        self._places: dict[int, tuple[float, float]] = {}
        self._due = np.full(agents, np.nan)
        self._floor = -1
        self._at = 0.0
        if world.pinned:
            hints.pin(*world.pinned)

    def begin(self, agents: Sequence[AgentRecord], conductor: Conductor) -> None:
        """See `Foresight.begin`."""
        places = ((row, agent.shown[-1].place) for row, agent in enumerate(agents))
        self._plan(np.arange(len(agents)), [agent.next_turn for agent in agents])
        here = [(row, place) for row, place in places if place is not None]
        self._move(here, conductor.floor())
        self.report(conductor)

    def took(self, turns: Sequence[TakenTurn], floor: int) -> None:
        """See `Foresight.took`."""
        rows = np.array([turn.row for turn in turns], np.int64)
        self._plan(rows, [turn.next_turn for turn in turns])
        self._move([(turn.row, turn.place) for turn in turns if turn.place is not None], floor)
        called = np.array([turn.row for turn in turns if turn.calls], np.int64)
        if len(called):
            self._spread.update(called, np.empty(0, np.int64))

    def _plan(self, rows: Rows, next_turn: Sequence[float]) -> None:
        self._wake.wake(rows, np.array(next_turn, np.float64))

    def _move(self, moved: Sequence[tuple[int, tuple[float, float]]], floor: int) -> None:
        if moved:
            here = np.array([place for _, place in moved])
            before = np.array([self._places.get(row, place) for row, place in moved])
            self._encounters.move(np.array([row for row, _ in moved]), here, here - before, floor)
            self._places.update(moved)

    def report(self, conductor: Conductor) -> None:
        """Report what has changed: at once when a step has ended, else now and then."""
        floor, now = conductor.floor(), time.monotonic()
        if floor == self._floor and now < self._at + _PERIOD_S:
            return
        if floor != self._floor:
            self._hints.step(floor)
        self._floor, self._at = floor, now
        due = floor + self.distances(conductor)
        with np.errstate(invalid="ignore"):
            changed = ~(np.abs(due - self._due) <= _CHANGED_STEPS) & ~(due == self._due)
        rows = np.flatnonzero(changed)
        if len(rows):
            self._due[rows] = due[rows]
            self._hints.distances([self._names[row] for row in rows], (due[rows] - floor).tolist())

    def close(self) -> Stats:
        """See `Foresight.close`."""
        self._hints.close()
        return self._hints.stats

    def distances(self, conductor: Conductor) -> Distances:
        """Return float32[n], steps to each agent's next call."""
        waves = conductor.waves() / np.float32(self._in_a_row)
        # Plans do not end where the run does: who acts next after it is as far as it says.
        before = np.where(np.isinf(waves), np.float32(0), waves)
        ahead: Distances = np.maximum(self._nearest.distances(conductor.floor()), before)
        return ahead
