"""Prompts of agents whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from benchmarks.gpu.engines import PAGE, Setup
from simulations.crowd import adapter_name

_WORDS = 1000
"""Token ids that every model has, from 3 on."""


class Prompts:
    """Agent k has one private part and several views after it.

    Args:
        setup: How many agents, and how long.
        views: Prompts of each.
    """

    def __init__(self, setup: Setup, views: int) -> None:
        self.agents = setup.agents
        self.output = setup.size.output
        self._views = views
        self._size = setup.size
        self._adapters = setup.adapters

    def all(self) -> Iterator[tuple[int, int]]:
        """Yield every (agent, view)."""
        return product(range(self.agents), range(self._views))

    def ids(self, agent: int, view: int) -> list[int]:
        """Return one prompt."""
        private = _draw(self._size.private, agent)
        return [*private, *_draw(self._size.observation, agent, view)]

    def with_wrong_page(self, agent: int) -> list[int]:
        """Return the agent's first prompt with a page from its middle taken from another's."""
        ids, other = self.ids(agent, 0), self.ids((agent + 1) % self.agents, 0)
        middle = self._size.private // 2 // PAGE * PAGE
        return [*ids[:middle], *other[middle : middle + PAGE], *ids[middle + PAGE :]]

    def more(self, agent: int) -> dict[str, Any]:
        """Return what else the agent's requests name."""
        return {"lora_path": adapter_name(agent % self._adapters)} if self._adapters else {}


def _draw(count: int, *seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(3, 3 + _WORDS, count).tolist()
    return drawn
