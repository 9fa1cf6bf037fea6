"""TinyTroupe: calls carry the person's identity; a world's step reports all persons."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.watching import before


def install_persons(module: ModuleType) -> None:
    """Patch persons, so that calls of their actions and memories carry their identity."""
    for name in ("act", "consolidate_episode_memories"):
        act_for(module.TinyPerson, name, lambda self, *args, **kwargs: self.name)


def install_worlds(module: ModuleType) -> None:
    """Report who acts in a step: a shuffled order is drawn from a copy of Python's generator."""
    before(module.TinyWorld, "_step_sequentially", _tell_order)
    before(module.TinyWorld, "_step_in_parallel", _tell_all)


def _tell_order(
    self: Any, timedelta_per_step: Any = None, randomize_agents_order: bool = True
) -> None:
    names = [person.name for person in self.agents]
    order = list(names)
    if randomize_agents_order:
        chance = random.Random()  # noqa: S311 - takes over the state of the program's own
        chance.setstate(random.getstate())
        chance.shuffle(order)
    begin_step(order=order, upcoming=[names])


def _tell_all(self: Any, timedelta_per_step: Any = None) -> None:
    names = [person.name for person in self.agents]
    begin_step(names, upcoming=[names])
