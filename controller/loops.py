"""Background work that must never end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

_logger = logging.getLogger(__name__)

_REST_S = 0.1  # after a crash: long enough not to fill the log's disk, short for everyone waiting


class Loop:
    """Does the same work over and over; a crash is logged, counted, and followed by the next turn.

    Must be made inside a running event loop; keeps itself alive until `stop`.

    Args:
        name: Shown in the log and in status.
        turn: One turn of the work; waits by itself for what it waits for.
    """

    def __init__(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.crashes = 0
        self.turned_at = time.time()
        self._turn = turn
        self._stopped = False
        self._task = asyncio.create_task(self._run(), name=name)

    async def stop(self) -> None:
        """End the loop, in the middle of a turn if need be."""
        self._stopped = True  # a turn may end as it is cancelled, and not notice
        self._task.cancel()
        await asyncio.wait([self._task])

    def status(self) -> dict[str, float]:
        """Return crashes so far and the seconds since the last turn ended."""
        return {"crashes": self.crashes, "turned_s_ago": max(time.time() - self.turned_at, 0.0)}

    async def _run(self) -> None:
        while not self._stopped:
            try:
                await self._turn()
            except Exception:
                self.crashes += 1
                _logger.exception(
                    "The %s loop failed %d times; it goes on", self.name, self.crashes
                )
                await asyncio.sleep(_REST_S)
            self.turned_at = time.time()
