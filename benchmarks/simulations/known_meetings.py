"""An oracle of stepping: it knows who will meet whom, and waits for nobody else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.policies.stepping import Space
from scalesim.policies.stepping.conductor import Positions, Steps
from scalesim.simulations.driver.agent_turns import AgentTurn
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_state import WorldState
from scalesim.vocabulary import Distances

Meetings = dict[tuple[int, int], set[int]]
"""Whom a turn saw or heard, by (agent, step)."""


class NotingPool(LocalPool):
    """A pool that notes who meets whom."""

    meetings: Meetings

    async def give(self, turns: Sequence[AgentTurn]) -> None:
        """See `TurnPool.give`."""
        self.meetings = getattr(self, "meetings", {})
        for turn in turns:
            met = {one.row for one in turn.sees} | {one.sender for one in turn.inbox}
            self.meetings[turn.row, turn.step] = met - {turn.row}
        await super().give(turns)


class KnownState(WorldState):
    """Agents of a run whose meetings are known: those ahead may be far from where they met."""

    meetings: Meetings

    def near(self, rows: Rows) -> dict[int, list[int]]:
        """See `WorldState.near`."""
        turns = [(row, self.agents[row].next_step) for row in rows.tolist()]
        return {place: sorted(self.meetings.get(turn, ())) for place, turn in enumerate(turns)}


class KnownMeetings:
    """A conductor whose turns wait for those they are known to meet; see `Conductor`.

    Args:
        step: int64[n], first turn of each agent; taken over.
        end: The first step that is not run.
        meetings: Whom each turn meets.
        space: Moved along.
    """

    def __init__(self, step: Steps, end: int, meetings: Meetings, space: Space | None) -> None:
        self.step = step
        self._end, self._meetings, self._space = end, meetings, space
        self._waiting: dict[int, list[int]] = defaultdict(list)
        self._blocker: dict[int, int] = {}

    def begin(self) -> Rows:
        """See `Conductor.begin`."""
        return self._checked(np.flatnonzero(self.step < self._end).tolist())

    def done(self, rows: Rows, next_step: Steps, position: Positions | None = None) -> Rows:
        """See `Conductor.done`."""
        self.step[rows] = next_step
        if self._space is not None and position is not None:
            self._space.move(rows, position, next_step)
        look = [row for row in rows.tolist() if self.step[row] < self._end]
        for row in rows.tolist():
            look += self._waiting.pop(row, [])
        return self._checked(look)

    def floor(self) -> int:
        """See `Conductor.floor`."""
        return int(min(self.step.min(), self._end))

    def waves(self) -> Distances:
        """See `Conductor.waves`."""
        ahead = np.zeros(len(self.step), np.float32)
        for row in np.argsort(self.step, kind="stable").tolist():  # who is waited for is behind
            if row in self._blocker:
                ahead[row] = ahead[self._blocker[row]] + 1
        ahead[self.step >= self._end] = np.inf
        return ahead

    def _checked(self, rows: list[int]) -> Rows:
        ready = []
        for row in rows:
            met = self._meetings.get((row, int(self.step[row])), ())
            behind = next((other for other in met if self.step[other] < self.step[row]), None)
            if behind is None:
                self._blocker.pop(row, None)
                ready.append(row)
            else:
                self._blocker[row] = behind
                self._waiting[behind].append(row)
        return np.array(ready, np.int64)
