"""Who there is in a World, and who sees whom whatever happens; checked once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from scalesim.errors import InvalidRequestError, WorldError
from scalesim.identity import AgentId, agent_text
from scalesim.policies.distance.graph import Workflow
from scalesim.policies.planning import Rows
from scalesim.world import World

_ORDERS_KEPT = 256


class Roster:
    """The agents of a World by row, and the pairs that it tells.

    Args:
        world: The World of these agents.

    Attributes:
        names: AgentRecord ids, in the World's order.
        rows: Row of each name.
        seen: int64[m, 2], rows of who is seen and who sees, of `edges`.
        parents: int64[m, 2], rows of parent and child, of `depends_on`.
        ordered: Whether agents act one after the other, by `order`.
        spatial: Whether they have places.
        reach: How far agents see and speak, where they have places.
        open: Whether everyone can tell everyone.
        readers: Rows that each agent can tell something, by its own row.

    Raises:
        WorldError: There is nobody, a name is not valid or there twice, a pair names nobody, or
            `depends_on` goes in a circle.
    """

    def __init__(self, world: World) -> None:
        self.names = tuple(agent_text(agent) for agent in world.agents())
        self.rows = {name: row for row, name in enumerate(self.names)}
        self._world, self._kind = world, type(world).__name__
        self._orders: dict[int, dict[int, int]] = {}
        if not self.names or len(self.rows) < len(self.names):
            raise WorldError(
                f"{self._kind}.agents() returned {len(self.names)} names, {len(self.rows)} of them "
                "different: return at least one, each once"
            )
        self.seen = self._pairs(world.edges(), "edges")
        follows = world.knows("depends_on")
        depends = ((p, name) for name in self.names for p in world.depends_on(name))
        self.parents = self._pairs(depends if follows else (), "depends_on")
        try:
            Workflow(len(self.names), self.parents)
        except InvalidRequestError as error:
            raise WorldError(f"{self._kind}.depends_on: {error}") from None
        self.ordered = world.knows("order")
        self.spatial = world.knows("position")
        self.reach = world.reach
        self.open = not (self.spatial or world.knows("edges") or follows)
        self.readers: dict[int, set[int]] = {}
        for pairs in (self.seen, self.parents):
            for one, reader in pairs.tolist():
                self.readers.setdefault(one, set()).add(reader)

    def __len__(self) -> int:
        return len(self.names)

    def row(self, agent: AgentId, where: str) -> int:
        """Return the row of an agent that a method of the World named.

        Raises:
            WorldError: There is no such agent.
        """
        name = agent_text(agent)
        if name not in self.rows:
            raise WorldError(f"{self._kind}.{where} names {name!r}, whom agents() does not return")
        return self.rows[name]

    def order(self, step: int) -> dict[int, int]:
        """Return the place of each row that acts in a step, of `World.order`; kept for a while."""
        if step not in self._orders:
            named = f"order({step})"
            rows = [self.row(agent, named) for agent in self._world.order(step)]
            places = {row: place for place, row in enumerate(rows)}
            if len(places) < len(rows):
                raise WorldError(f"{self._kind}.{named} names an agent twice in one step")
            if len(self._orders) >= _ORDERS_KEPT:
                self._orders.clear()
            self._orders[step] = places
        return self._orders[step]

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], where: str) -> Rows:
        rows = [(self.row(a, where), self.row(b, where)) for a, b in pairs]
        return np.array(sorted(set(rows)), np.int64).reshape(-1, 2)
