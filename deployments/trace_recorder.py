"""Requests as they happen, for clients that record an activation trace."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from scalesim.headers import CachedTokens
from scalesim.policies.replay.activation_trace import event_line

_BACKLOG = 10_000
"""Events kept for who reads slowly; past it the newest are lost to a listener, the oldest to
another process."""

_FORGOTTEN_S = 60.0
"""A process that has not asked for so long is gone."""

_END = ""


class AnsweredRequest(NamedTuple):
    """One request that was answered.

    Attributes:
        number: Counts this process's answers up.
        at: Seconds since 1970.
        found: The prompt's tokens, and where they were.
        seconds: Seconds that the answer took.
    """

    number: int
    at: float
    simulation: str
    agent: str
    found: CachedTokens
    output_tokens: int
    seconds: float


class _Outbox:
    """What another process's listeners are to get."""

    def __init__(self) -> None:
        self.wanted: Collection[str] = ()
        self.asked_at = 0.0
        self.events: deque[AnsweredRequest] = deque(maxlen=_BACKLOG)


async def _at_once() -> None:
    pass


class TraceRecorder:
    """Hands every answered request to the listeners of its simulation; nothing where none listen.

    Args:
        step: Returns the step a simulation is at.
        begun: Awaited once somebody listens, before the feed says that it has begun.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        step: Callable[[str], int],
        begun: Callable[[], Awaitable[None]] = _at_once,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._begun = begun
        self._clock = clock
        self._numbers = 0
        self._listeners: dict[asyncio.Queue[str], str] = {}
        self._outboxes: dict[str, _Outbox] = {}

    def __len__(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    @property
    def wanted(self) -> frozenset[str]:
        """Return the simulations that are being recorded."""
        return frozenset(self._listeners.values())

    @property
    def kept_for(self) -> frozenset[str]:
        """Other processes that answered requests are kept for, until they ask."""
        return frozenset(self._outboxes)

    def emit(
        self, simulation: str, agent: str, found: CachedTokens, output_tokens: int, seconds: float
    ) -> None:
        """Note one request that has just been answered, and that took so long."""
        if not self._listeners and not self._outboxes:
            return
        self._numbers += 1
        event = AnsweredRequest(
            self._numbers, time.time(), simulation, agent, found, output_tokens, seconds
        )
        self.add([event])
        for outbox in self._outboxes.values():
            if simulation in outbox.wanted:
                outbox.events.append(event)

    def add(self, events: Sequence[AnsweredRequest]) -> None:
        """Take over what was answered here or by another process."""
        for event in events:
            line = ""
            for queue, wanted in self._listeners.items():
                if wanted == event.simulation and not queue.full():
                    line = line or self._line(event)
                    queue.put_nowait(line)

    def _line(self, event: AnsweredRequest) -> str:
        step, more = self._step(event.simulation), event.found._asdict()
        more |= {"seconds": round(event.seconds, 4), "t": event.at}
        return event_line(step, event.agent, more.pop("prompt"), event.output_tokens, **more) + "\n"

    def collect(self, process: str, wanted: Collection[str], after: int) -> list[AnsweredRequest]:
        """Return what was answered here since another process wanted it.

        Args:
            process: Which one asks.
            wanted: Simulations that its listeners record.
            after: Number of the last event that it has got.
        """
        now = self._clock()
        for name, kept in list(self._outboxes.items()):
            if name != process and kept.asked_at < now - _FORGOTTEN_S:
                del self._outboxes[name]
        if not wanted:
            self._outboxes.pop(process, None)
            return []
        outbox = self._outboxes.setdefault(process, _Outbox())
        outbox.wanted, outbox.asked_at = wanted, now
        while outbox.events and outbox.events[0].number <= after:
            outbox.events.popleft()
        return list(outbox.events)

    async def listen(self, simulation: str) -> AsyncIterator[str]:
        """Yield a JSON line per request until the listener goes away or this is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(_BACKLOG)
        self._listeners[queue] = simulation
        try:
            await self._begun()
            yield "\n"
            while (line := await queue.get()) != _END:
                yield line
        finally:
            del self._listeners[queue]

    def close(self) -> None:
        """End every listener's feed, after the events that it has not read yet."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(_END)
