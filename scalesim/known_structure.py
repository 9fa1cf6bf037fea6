"""What a simulation knows beside its schedule: where agents are, who can set whom in motion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from scalesim.distances import Diffusion, Encounters, Workflow
from scalesim.vocabulary import Distances

HORIZON_STEPS = 16.0
"""Meetings later than this are not foreseen: a controller forgets distances after as long."""


class KnownPositions:
    """Positions of agents that act when they come within reach of each other.

    Args:
        reach: Distance at which two agents meet, in the unit of positions.
    """

    def __init__(self, reach: float) -> None:
        self._reach = reach
        self._seen: dict[str, tuple[float, float, float, float, float]] = {}

    def move(
        self, agent: str, xy: Sequence[float], velocity: Sequence[float] | None, step: float
    ) -> None:
        """Note an agent's position; a velocity of None is computed from its last two positions."""
        x, y = map(float, xy)
        if velocity is None:
            before = self._seen.get(agent)
            past = step - before[4] if before else 0.0
            ways = (x - before[0], y - before[1]) if before else (0.0, 0.0)
            velocity = (ways[0] / past, ways[1] / past) if past > 0 else (before or (0.0,) * 5)[2:4]
        u, v = map(float, velocity)
        if all(map(math.isfinite, (x, y, u, v))):
            self._seen[agent] = (x, y, u, v, step)

    def forget(self, agents: Iterable[str]) -> None:
        """Forget agents that are gone."""
        for agent in agents:
            self._seen.pop(agent, None)

    def clear(self) -> None:
        """Forget all agents."""
        self._seen.clear()

    def distances(self, step: float) -> Iterable[tuple[str, float]]:
        """Return the steps until each agent meets another, of those that will."""
        seen = dict(self._seen)  # other threads move agents meanwhile
        if len(seen) < 2:
            return []
        rows = np.array(list(seen.values()))
        velocity = rows[:, 2:4]
        position = rows[:, :2] + velocity * (step - rows[:, 4:])
        meetings = Encounters(len(rows), self._reach, HORIZON_STEPS)
        meetings.move(np.arange(len(rows)), position, velocity, step)
        return _foreseen(list(seen), meetings.distances(step))


class Graph:
    """Edges along which one agent's turn leads to another's.

    Args:
        edges: Agents, from whom to whom.
        once: A workflow, in which each agent has its turn when all before it had theirs; else
            activity spreads, from any neighbour and again and again.

    Raises:
        InvalidRequestError: A workflow goes round in a circle.
    """

    def __init__(self, edges: Iterable[tuple[str, str]], *, once: bool) -> None:
        pairs = list(edges)
        self._agents = list(dict.fromkeys(agent for pair in pairs for agent in pair))
        self._rows = {agent: row for row, agent in enumerate(self._agents)}
        array = np.array([[self._rows[agent] for agent in pair] for pair in pairs], np.int64)
        array = array.reshape(-1, 2)
        kind = Workflow if once else Diffusion
        self._estimator = kind(len(self._agents), array)
        self._once = once
        self._ran: set[int] = set()

    def distances(self, active: Iterable[str]) -> Iterable[tuple[str, float]]:
        """Return the steps to others' turns while `active` act; who acted before has finished."""
        running = {self._rows[agent] for agent in active if agent in self._rows}
        done = (self._ran if self._once else set()) - running
        self._ran |= running
        self._estimator.update(
            np.array(sorted(running), np.int64), np.array(sorted(done), np.int64)
        )
        return _foreseen(self._agents, self._estimator.distances(0.0))


def _foreseen(agents: list[str], distances: Distances) -> list[tuple[str, float]]:
    return [(agents[row], float(distances[row])) for row in np.flatnonzero(np.isfinite(distances))]
