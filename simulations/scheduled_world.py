"""A workload as a World: who calls when was drawn before the run, whatever is answered."""

from __future__ import annotations

import asyncio
import contextlib
from math import isfinite
from typing import Any

from scalesim.errors import CallFailedError
from scalesim.headers import NEXT_USE
from scalesim.me import Me
from scalesim.simulations.call_table import CallRow, CallTable, calls_of
from scalesim.simulations.driver.asked_model import AskedModel
from scalesim.simulations.driver.world_arms import WorldDrive
from scalesim.simulations.workload import Workload
from scalesim.world import World

_WARMUP_CONCURRENCY = 8
"""Few enough that the warm-up ends with the last agents resident, in their order."""


class ScheduledWorld(World):
    """Each agent makes the calls that are scheduled for it, one after the other.

    Answers have no effect on anything; calls that fail are counted, and the run goes on.

    Args:
        workload: Agents, prompts and schedule.
    """

    def __init__(self, workload: Workload) -> None:
        super().__init__(len(workload.agents), workload.seed)
        self._workload = workload
        self._rows = {name: row for row, name in enumerate(workload.agents)}
        # Greedy and past the end token: every arm generates as much.
        self._fixed: dict[str, Any] = {
            "max_tokens": workload.size.output,
            "temperature": 0,
            "ignore_eos": True,
        }

    def agents(self) -> tuple[str, ...]:
        """See `World.agents`."""
        return self._workload.agents

    def public(self, state: dict[str, Any]) -> None:
        """See `World.public`: nobody looks."""

    def next_turn(self, me: Me) -> float:
        """See `World.next_turn`; where the order is known, turns of a step begin in it."""
        return self._workload.schedule.next_use_of(self._rows[me.id], me.step)

    async def act(self, me: Me, step: int) -> None:
        """See `World.act`."""
        row = self._rows[me.id]
        calls = self._workload.schedule.calls_of(row, step)
        ahead = self.next_turn(me) - step
        for call in range(calls):
            # With its last call the engine learns at once how far the agent is from then on; what
            # is reported of it comes when the next step's requests may be there.
            known = call == calls - 1 and isfinite(ahead)
            headers = {NEXT_USE: f"{ahead:g}"} if known else {}
            messages = self._messages(row, step, call)
            with contextlib.suppress(CallFailedError):
                await me.ask(messages, extra_headers=headers, **self._fixed)

    async def warm_up(self, model: AskedModel, concurrency: int) -> CallTable:
        """Let every agent call once, in order of rows, a few at a time; returns these calls."""
        places = asyncio.Semaphore(min(concurrency, _WARMUP_CONCURRENCY))

        async def call(row: int) -> CallRow:
            async with places:
                agent, messages = self._workload.agents[row], self._messages(row, 0, 0)
                said = await model.chat(row, agent, messages, self._fixed, None)
                return CallRow(0, row, 0, said.answer)

        return calls_of(await asyncio.gather(*map(call, range(self.count))))

    def _messages(self, row: int, step: int, call: int) -> list[dict[str, str]]:
        workload = self._workload
        return [
            {"role": "system", "content": workload.private_prompt(row)},
            {"role": "user", "content": workload.observation(row, step, call)},
        ]


def scheduled(workload: Workload) -> WorldDrive:
    """Return a workload as it can be run in every arm."""
    world = ScheduledWorld(workload)
    return WorldDrive(world, workload, world.warm_up)
