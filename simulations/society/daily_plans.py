"""The town's clock: villagers live by daily plans on Mesa's event list.

A villager acts (and calls the model) when an activity ends, and then begins the next. Steps are
cut from the event list by count: a step is the next `active` villagers to act, so simulated time
runs fast at night and slowly at noon, as in any event-driven simulation.
"""

from __future__ import annotations

from typing import NamedTuple

import mesa
import numpy as np
from mesa.experimental.devs import DEVSimulator

from scalesim.simulations.schedule import AgentRows

_NIGHT_HOURS = 8.0
_DAY_HOURS = 16.0
_ACTIVITIES = (5, 10)  # a day has five to nine


class Villager(mesa.Agent):  # type: ignore[misc]
    """One villager; acts at the end of each activity of the day."""

    def __init__(self, town: DailyPlans, row: int) -> None:
        super().__init__(town)
        self.row = row
        self._hours_left: list[float] = []

    def act(self) -> None:
        """Note that this villager acts now."""
        self.model.acting.append(self)

    def begin_next(self) -> None:
        """Begin the next activity; the event at its end is the next action."""
        if not self._hours_left:
            self._hours_left = self._plan_day()
        self.model.clock.schedule_event_relative(self.act, self._hours_left.pop())

    def _plan_day(self) -> list[float]:
        draw = self.model.draw
        shares = draw.dirichlet(np.ones(draw.integers(*_ACTIVITIES)))
        return [_NIGHT_HOURS, *(_DAY_HOURS * shares)]


class DailyPlans(mesa.Model):  # type: ignore[misc]
    """All villagers and their clock, in simulated hours."""

    def __init__(self, villagers: int, seed: int) -> None:
        super().__init__(seed=seed)
        self.draw = np.random.default_rng([seed, villagers])
        self.acting: list[Villager] = []
        self.clock = DEVSimulator()
        self.clock.setup(self)
        for row in range(villagers):
            Villager(self, row).begin_next()

    def next_step(self, active: int) -> AgentRows:
        """Return the rows of the next villagers to act, in the order of their events."""
        self.acting.clear()
        while len(self.acting) < active:
            self.clock.run_next_event()
        for villager in self.acting:
            villager.begin_next()
        return np.array([villager.row for villager in self.acting], dtype=np.int32)


class Days(NamedTuple):
    """What happens in a town.

    Attributes:
        calls: One array a step: distinct rows of who acts.
        hours: Simulated hours since the beginning, at the end of each step.
    """

    calls: list[AgentRows]
    hours: tuple[float, ...]


def draw_days(villagers: int, active: int, steps: int, seed: int) -> Days:
    """Return the first `steps` steps of a town, `active` villagers acting in each."""
    town = DailyPlans(villagers, seed)
    drawn = [(town.next_step(active), float(town.clock.time)) for _ in range(steps)]
    calls, hours = zip(*drawn, strict=True)
    return Days(list(calls), hours)
