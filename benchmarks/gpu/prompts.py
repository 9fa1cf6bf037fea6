"""Prompts of agents whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from benchmarks.gpu.engines import PAGE, Setup
from scalesim.simulations.target import adapter_name

_WORDS = 1000
"""Token ids that every model has, from 3 on."""

_APART = 10**6
"""Seeds from here on draw what no agent has."""

_ALONE = 0.25
"""Share of agents that share with none before them."""


class Prompts:
    """Agent k has one private part and several views after it.

    Args:
        setup: How many agents, and how long.
        views: Prompts of each.
        related: Private parts begin as another's does, up to anywhere, which may begin as a
            third's. Agents of one adapter only: others have nothing in common for an engine.

    Attributes:
        agents: How many.
        views: Prompts of each.
        output: Tokens of an answer.
    """

    def __init__(self, setup: Setup, views: int, *, related: bool = False) -> None:
        self.agents = setup.agents
        self.output = setup.size.output
        self.views = views
        self._size = setup.size
        self._adapters = setup.adapters
        self._parents = [self._parent(agent) if related else None for agent in range(self.agents)]
        self._private = cache(self._drawn_private)

    def all(self) -> Iterator[tuple[int, int]]:
        """Yield every (agent, view)."""
        return product(range(self.agents), range(self.views))

    def ids(self, agent: int, view: int) -> list[int]:
        """Return one prompt."""
        return [*self._private(agent), *_draw(self._size.observation, agent, view)]

    def relatives(self, agent: int) -> tuple[int, ...]:
        """Return other agents whose prompts begin as an agent's do, for a page at least."""
        head = self._private(agent)[:PAGE]
        others = (other for other in range(self.agents) if other != agent)
        return tuple(
            other
            for other in others
            if self.family(other) == self.family(agent) and self._private(other)[:PAGE] == head
        )

    def with_wrong_page(self, agent: int) -> list[int]:
        """Return the agent's first prompt with a page in its middle that belongs to no agent."""
        ids = self.ids(agent, 0)
        middle = self._size.private // 2 // PAGE * PAGE
        return [*ids[:middle], *_draw(PAGE, _APART + agent), *ids[middle + PAGE :]]

    def more(self, agent: int) -> dict[str, Any]:
        """Return what else the agent's requests name."""
        family = self.family(agent)
        return {} if family is None else {"lora_path": adapter_name(family)}

    def family(self, agent: int) -> int | None:
        """Return the number of an agent's adapter or model; None for the bare one, of some."""
        if not self._adapters:
            return None
        number = agent % (self._adapters + 1)
        return number if number < self._adapters else None

    def _parent(self, agent: int) -> tuple[int, int] | None:
        """Return whose private part an agent's begins as, and for how many tokens."""
        before = [other for other in range(agent) if self.family(other) == self.family(agent)]
        rng = np.random.default_rng((_APART, agent))
        if not before or rng.random() < _ALONE:
            return None
        longest = max(PAGE + 1, self._size.private - PAGE)
        return int(rng.choice(before)), int(rng.integers(PAGE, longest))

    def _drawn_private(self, agent: int) -> tuple[int, ...]:
        own = tuple(_draw(self._size.private, agent))
        parent = self._parents[agent]
        if parent is None:
            return own
        whose, shared = parent
        return (*self._private(whose)[:shared], *own[shared:])


def _draw(count: int, *seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(3, 3 + _WORDS, count).tolist()
    return drawn
