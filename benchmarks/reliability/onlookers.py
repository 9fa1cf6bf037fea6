"""What is seen from outside of a stack with a fault: its listener, and what is in rotation."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

LOOK_EVERY_S = 0.1
"""Time between two looks at what the ingress says of its replicas."""

_CONNECT_EVERY_S = 0.05
_LONGEST_S = 30.0
_IN_ROTATION = re.compile(r'^scalesim_ingress_replicas\{ingress="(.*)"\} (\S+)$', re.MULTILINE)
_HEALTH = b"GET /health HTTP/1.1\r\nHost: stack\r\nConnection: close\r\n\r\n"


class NewConnections:
    """One after the other, each of which must be answered.

    Attributes:
        made: How many connections were answered.
        failed: Monotonic times at which those were begun that were not.
    """

    def __init__(self, base_url: str) -> None:
        where = urlsplit(base_url)
        self._host, self._port = where.hostname, where.port
        self.made = 0
        self.failed: list[float] = []

    async def make(self) -> None:
        """Make one."""
        begun = time.monotonic()
        if await self._is_answered():
            self.made += 1
        else:
            self.failed.append(begun)
        await asyncio.sleep(_CONNECT_EVERY_S)

    def failed_s(self, since: float) -> float:
        """Return for how long new connections failed since a monotonic time; 0 where none did."""
        return max((begun - since for begun in self.failed if begun >= since), default=0.0)

    async def _is_answered(self) -> bool:
        try:
            async with asyncio.timeout(_LONGEST_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    writer.write(_HEALTH)
                    return b" 200 " in await reader.readline()
                finally:
                    writer.close()
        except OSError:  # refused, reset, or too late
            return False


class RotationLog:
    """Looks again and again which replicas each process of the ingress sends requests to.

    Args:
        http: A client of the stack, for its operator.
        replicas: How many there are when all is well.
    """

    def __init__(self, http: httpx.AsyncClient, replicas: int) -> None:
        self._http = http
        self._replicas = replicas
        self.seen: list[tuple[float, tuple[float, ...]]] = []

    async def look(self) -> None:
        """Look once; processes that do not answer now are left out."""
        try:
            text = (await self._http.get("/metrics")).text
        except httpx.TransportError:
            text = ""
        counts = tuple(float(count) for _, count in _IN_ROTATION.findall(text))
        if counts:
            self.seen.append((time.monotonic(), counts))
        await asyncio.sleep(LOOK_EVERY_S)

    def out_s(self, since: float) -> float | None:
        """Return when all processes had left one out, in seconds after a monotonic time."""
        found = (at for at, counts in self.seen if at >= since and max(counts) < self._replicas)
        at = next(found, None)
        return None if at is None else at - since


@asynccontextmanager
async def going_on(*turns: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do each over and over in the block."""

    async def over_and_over(turn: Callable[[], Awaitable[None]]) -> None:
        while True:
            await turn()

    tasks = [asyncio.create_task(over_and_over(turn)) for turn in turns]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
