"""Who takes the turns: tasks of this process. Ray workers are in `ray_pool`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from scalesim.simulations.driver.agent_turns import AgentTurn, TakenTurn
from scalesim.simulations.driver.runner import TurnRunner

GATHER_S = 0.002
"""A busy loop hands over many turns at once so."""


class TurnPool(Protocol):
    """Takes turns, many at a time."""

    async def give(self, turns: Sequence[AgentTurn]) -> None:
        """Begin turns; does not wait for them."""
        ...

    async def taken(self) -> list[TakenTurn]:
        """Wait until a turn has ended, and return all that have since the last call.

        Raises:
            Exception: What a turn ended with, if not an error of its own.
        """
        ...

    async def close(self) -> None:
        """Give up what is under way and release everything."""
        ...


class LocalPool:
    """Turns as tasks of the running event loop.

    Args:
        runner: Takes them.
        gather_s: What ends within so long of each other is handed over together.
    """

    def __init__(self, runner: TurnRunner, gather_s: float = GATHER_S) -> None:
        self._runner, self._gather_s = runner, gather_s
        self._ended: asyncio.Queue[asyncio.Task[TakenTurn]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[TakenTurn]] = set()

    async def give(self, turns: Sequence[AgentTurn]) -> None:
        """See `TurnPool.give`."""
        for turn in turns:
            task = asyncio.create_task(self._runner.take(turn))
            self._tasks.add(task)
            task.add_done_callback(self._end)

    async def taken(self) -> list[TakenTurn]:
        """See `TurnPool.taken`."""
        ended = [await self._ended.get()]
        if self._tasks:
            await asyncio.sleep(self._gather_s if len(self._tasks) > 1 else 0)
        while not self._ended.empty():
            ended.append(self._ended.get_nowait())
        return [task.result() for task in ended]

    async def close(self) -> None:
        """See `TurnPool.close`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()

    def _end(self, task: asyncio.Task[TakenTurn]) -> None:
        self._tasks.discard(task)
        self._ended.put_nowait(task)
