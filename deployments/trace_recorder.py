"""Requests as they happen, for clients that record an activation trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from scalesim.headers import CachedTokens
from scalesim.policies.replay.trace import event_line

_BACKLOG = 10_000
"""Events kept for a listener that reads slowly; past it the newest are lost to it."""

_END = ""


class TraceRecorder:
    """Hands every answered request to the listeners of its simulation; nothing where none listen.

    Args:
        step: Returns the step a simulation is at.
    """

    def __init__(self, step: Callable[[str], int]) -> None:
        self._step = step
        self._listeners: dict[asyncio.Queue[str], str] = {}

    def __len__(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    def emit(
        self, simulation: str, agent: str, found: CachedTokens, output_tokens: int, seconds: float
    ) -> None:
        """Note one request that has just been answered, and that took so long."""
        for queue, wanted in self._listeners.items():
            if wanted == simulation and not queue.full():
                step, more = self._step(simulation), found._asdict()
                more |= {"seconds": round(seconds, 4), "t": time.time()}
                line = event_line(step, agent, more.pop("prompt"), output_tokens, **more)
                queue.put_nowait(line + "\n")

    async def listen(self, simulation: str) -> AsyncIterator[str]:
        """Yield a JSON line per request until the listener goes away or this is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(_BACKLOG)
        self._listeners[queue] = simulation
        try:
            yield "\n"
            while (line := await queue.get()) != _END:
                yield line
        finally:
            del self._listeners[queue]

    def close(self) -> None:
        """End every listener's feed; what it has not read yet still comes."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(_END)
