"""When each agent calls next, by what its World says, in the order in which turns can begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from scalesim.identity import AgentId
from scalesim.policies.distance.estimator_base import Estimator, Nearest
from scalesim.policies.distance.graph import Diffusion
from scalesim.policies.distance.scheduled import Wake
from scalesim.policies.distance.spatial import Encounters
from scalesim.policies.planning import Rows
from scalesim.policies.stepping import Conductor
from scalesim.sender import Stats
from scalesim.simulations.driver.agent_turns import TakenTurn
from scalesim.simulations.driver.roster import Roster
from scalesim.simulations.driver.world_state import AgentRecord
from scalesim.vocabulary import Distances
from scalesim.world import World

_PERIOD_S = 0.02
"""Time between two reports within a step: less than a short answer takes."""

_SHARE = 20
"""A report takes at most one part in so many of the driver's time."""

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


class HintSink(Protocol):
    """Where distances go; see `scalesim.Simulation`."""

    @property
    def stats(self) -> Stats:
        """See `Simulation.stats`."""
        ...

    def step(self, t: int) -> None:
        """See `Simulation.step`."""
        ...

    def distances(self, ids: Sequence[AgentId], values: Sequence[float]) -> None:
        """See `Simulation.distances`."""
        ...

    def pin(self, *agents: AgentId) -> None:
        """See `Simulation.pin`."""
        ...

    def close(self) -> None:
        """See `Simulation.close`."""
        ...


class Forecast:
    """Distances of a World's agents, reported as its turns are taken.

    `position` is read as encounters, `edges` as spreading from those who have just called, and
    `next_turn`, `rate` and `order` as the step of the next turn, which is known. Counted are the
    turns that must end before an agent's next one, and from there its own up to that in which it
    calls: who is ahead in steps, and may go on, is as near as who is last.

    Args:
        world: What is known.
        roster: Its agents.
        hints: Where to report.
        clock: Seconds between reports are counted by it.
    """

    def __init__(
        self,
        world: World,
        roster: Roster,
        hints: HintSink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
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
        self._plan(np.arange(len(agents)), [agent.next_turn for agent in agents])
        here = [
            (row, place, agent.next_step)
            for row, agent in enumerate(agents)
            if (place := agent.shown[-1].place) is not None
        ]
        self._move(here, conductor.floor())
        self.report(conductor)

    def took(self, turns: Sequence[TakenTurn], floor: int) -> None:
        """See `Foresight.took`."""
        rows = np.array([turn.row for turn in turns], np.int64)
        self._plan(rows, [turn.next_turn for turn in turns])
        moved = [(t.row, t.place, t.step + 1) for t in turns if t.place is not None]
        self._move(moved, floor)
        called = np.array([turn.row for turn in turns if turn.calls], np.int64)
        if len(called):
            self._spread.update(called, np.empty(0, np.int64))

    def _plan(self, rows: Rows, next_turn: Sequence[float]) -> None:
        self._wake.wake(rows, np.array(next_turn, np.float64))

    def _move(self, moved: Sequence[tuple[int, tuple[float, float], int]], floor: int) -> None:
        """Note where agents are as steps begin, which may be ahead of the floor."""
        if moved:
            rows = np.array([row for row, _, _ in moved])
            here = np.array([place for _, place, _ in moved])
            before = np.array([self._places.get(row, place) for row, place, _ in moved])
            ahead = np.array([[step - floor] for _, _, step in moved])
            velocity = here - before
            self._encounters.move(rows, here - velocity * ahead, velocity, floor)
            self._places.update((row, place) for row, place, _ in moved)

    def report(self, conductor: Conductor) -> None:
        """Report what has changed: at once when a step has ended, else now and then."""
        floor, now = conductor.floor(), self._clock()
        if floor == self._floor and now < self._at:
            return
        if floor != self._floor:
            self._hints.step(floor)
        self._floor = floor
        due = floor + self.distances(conductor)
        with np.errstate(invalid="ignore"):
            changed = ~(np.abs(due - self._due) <= _CHANGED_STEPS) & ~(due == self._due)
        rows = np.flatnonzero(changed)
        if len(rows):
            self._due[rows] = due[rows]
            self._hints.distances([self._names[row] for row in rows], (due[rows] - floor).tolist())
        ended = self._clock()
        self._at = ended + max(_PERIOD_S, _SHARE * (ended - now))

    def close(self) -> Stats:
        """See `Foresight.close`."""
        self._hints.close()
        return self._hints.stats

    def distances(self, conductor: Conductor) -> Distances:
        """Return float32[n], steps to each agent's next call."""
        floor = conductor.floor()
        ahead = conductor.step - floor
        waves = conductor.waves() / np.float32(self._in_a_row)
        # Plans do not end where the run does, but who is at its end waits for all others.
        before = np.where(np.isinf(waves), ahead, waves)
        turns = np.maximum(self._nearest.distances(floor) - ahead, 0)
        distances: Distances = (before + turns).astype(np.float32)
        return distances
