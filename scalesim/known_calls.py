"""What a simulation knows of its agents' next calls, and the distances that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from scalesim.known_structure import Graph, KnownPositions


class KnownCalls:
    """Rates, positions and edges of agents; with who acts in a step they give distances.

    Args:
        step_hours: Simulated hours in a step, for rates.
        reach: Distance at which two agents meet, in the unit of positions.
    """

    def __init__(self, step_hours: float, reach: float) -> None:
        self._step_hours = step_hours
        self._gaps: dict[str, float] = {}
        self._space = KnownPositions(reach)
        self._graphs: dict[str, Graph] = {}

    def rate(self, agent: str, per_hour: float) -> None:
        """Note calls per simulated hour; 0 or less forgets it."""
        if per_hour > 0:
            self._gaps[agent] = 1.0 / (per_hour * self._step_hours)
        else:
            self._gaps.pop(agent, None)

    def move(
        self, agent: str, xy: Sequence[float], velocity: Sequence[float] | None, step: float
    ) -> None:
        """Note an agent's position; a velocity of None is computed from its last two positions."""
        self._space.move(agent, xy, velocity, step)

    def edges(self, edges: Iterable[tuple[str, str]]) -> None:
        """Note pairs (a, b): a turn of a may lead to one of b; replaces former ones."""
        self._graphs["edges"] = Graph(edges, once=False)

    def workflow(self, edges: Iterable[tuple[str, str]]) -> None:
        """Note who waits for whom; replaces what it was.

        Raises:
            InvalidRequestError: The edges go round in a circle.
        """
        self._graphs["workflow"] = Graph(edges, once=True)

    def forget(self, agents: Iterable[str]) -> None:
        """Forget agents that are gone."""
        gone = list(agents)
        for agent in gone:
            self._gaps.pop(agent, None)
        self._space.forget(gone)

    def clear(self) -> None:
        """Forget everything."""
        self._gaps.clear()
        self._space.clear()
        self._graphs.clear()

    def distances(
        self, step: int, ahead: Sequence[Sequence[str]], *, in_order: bool
    ) -> dict[str, float]:
        """Return steps from `step` to each agent's next call, of those that are foreseen.

        Args:
            step: The step that begins.
            ahead: Who acts in it, in the next one, and so on: these win over all else.
            in_order: They act in the order given; else at any time of their step.
        """
        found = self._foreseen(step, ahead[0])
        for steps in reversed(range(len(ahead))):
            agents = ahead[steps]
            spacing = 1.0 / max(len(agents), 1) if in_order else 0.0
            found |= {agent: steps + i * spacing for i, agent in enumerate(agents)}
        return found

    def _foreseen(self, step: int, active: Sequence[str]) -> dict[str, float]:
        """Return the nearest of what rates, positions and edges say, in steps."""
        found = dict(self._gaps)
        graphs = (graph.distances(active) for graph in list(self._graphs.values()))
        for distances in (self._space.distances(step), *graphs):
            for agent, distance in distances:
                found[agent] = min(distance, found.get(agent, math.inf))
        return found
