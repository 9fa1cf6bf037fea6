"""Takes connections from a socket that other processes take them from too, each its share."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from scalesim.controller.connection_counts import ConnectionCounts

BACKLOG = 4096
"""Connections that wait until they are taken; Linux allows so many by default."""

_YIELD_S = 0.002
"""How long a process that has more than its share leaves the next connection to others: they see
it at once, unless they are busy with a request. If none takes it, this one does."""

_REST_S = 0.1
"""How long a process that may open no more files waits before it tries again."""


class Acceptor:
    """What uvicorn takes for an `asyncio.Server` of one socket.

    Where an event loop serves a socket by itself it takes all connections that wait at once: of
    several processes the first that wakes up has most of those that come together.

    Args:
        listening: The socket; it is closed by who made it.
        protocol: Makes a connection's protocol.
        counts: Counts of connections in all processes.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        counts: ConnectionCounts,
    ) -> None:
        self._listening, self._protocol, self._counts = listening, protocol, counts
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._closed = False
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._watch()

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        self._pause()

    async def wait_closed(self) -> None:
        """Wait until what was taken has its protocol."""
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _watch(self) -> None:
        self._again = None
        if not self._closed:
            self._loop.add_reader(self._listening, self._take)

    def _pause(self, seconds: float | None = None) -> None:
        self._loop.remove_reader(self._listening)
        if self._again is not None:
            self._again.cancel()
        self._again = None if seconds is None else self._loop.call_later(seconds, self._watch)

    def _take(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process has it, or its client went
        except OSError:
            self._pause(_REST_S)
            return
        connection.setblocking(False)
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(self._protocol, connection)
        )
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        if self._counts.over_its_share():
            self._pause(_YIELD_S)


class SharingServer(uvicorn.Server):
    """A uvicorn server on sockets that other processes serve too.

    Args:
        config: Configuration of uvicorn.
        counts: Counts of connections in all processes.
    """

    def __init__(self, config: uvicorn.Config, counts: ConnectionCounts) -> None:
        super().__init__(config)
        self._counts = counts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve; called by uvicorn."""
        await super().startup(sockets=[])
        self.servers = [Acceptor(each, self._protocol, self._counts) for each in sockets or ()]  # type: ignore[misc]

    def _protocol(self) -> asyncio.Protocol:
        """Return a connection's protocol, as uvicorn makes it."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
