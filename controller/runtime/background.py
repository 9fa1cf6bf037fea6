"""Background loops that survive their own faults."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_logger = logging.getLogger(__name__)

REST_S = 0.1
"""Pause after a crash: long enough not to fill the log's disk, short for everyone waiting."""

T = TypeVar("T")


class BackgroundLoop:
    """Does the same work over and over; a crash is logged, counted, and followed by the next round.

    Must be made inside a running event loop; keeps itself alive until `stop`.

    Args:
        name: Shown in the log and in status.
        work: One round: short, or it waits through `until`.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.crashes = 0
        self._work = work
        self._went_on_at = time.monotonic()
        self._waits = False
        self._stopped = False
        self._task = asyncio.create_task(self._run(), name=name)

    async def stop(self) -> None:
        """End the loop, in the middle of a round if need be."""
        self._stopped = True  # a round may end as it is cancelled, and not notice
        self._task.cancel()
        await asyncio.wait([self._task])

    async def until(self, awaited: Awaitable[T]) -> T:
        """Return what a round has to wait for; meanwhile the loop does not count as stalled."""
        self._waits = True
        try:
            result = await awaited
        finally:
            self._waits = False
        self._went_on_at = time.monotonic()
        return result

    def status(self) -> dict[str, float]:
        """Return crashes so far and for how long it has stood still; from any thread.

        It stands still when its round hangs, when every round crashes, and when it has ended.
        """
        stalled_s = 0.0 if self._waits else time.monotonic() - self._went_on_at
        return {"crashes": self.crashes, "stalled_s": stalled_s}

    async def _run(self) -> None:
        while not self._stopped:
            try:
                await self._work()
                self._went_on_at = time.monotonic()
            except Exception:
                self.crashes += 1
                _logger.exception(
                    "The %s loop failed %d times; it goes on", self.name, self.crashes
                )
                await asyncio.sleep(REST_S)
