"""Serves an app on the stack's address, without a proxy in front."""

from __future__ import annotations

import asyncio
import resource

from starlette.types import ASGIApp

from scalesim.controller.connection_limits import ConnectionLimits, server
from scalesim.deployments.stack_address import taken
from scalesim.settings import IngressSettings

DRAIN_S = 30
"""Requests in flight get this long when replicas and ingress are asked to stop."""

_OTHER_FILES = 1024
"""Files that the process may open and clients may not have: Ray's, the calls to replicas, those of
connections that are refused."""


class Listener:
    """Serves an app on a held address, in the running event loop.

    Args:
        app: What answers.
        address: Name of the `Address`; where other listeners have it too, they share connections
            and the limits on them.
        settings: What clients may take.
        drain_s: Seconds that requests in flight get once it is closed.
    """

    def __init__(
        self, app: ASGIApp, address: str, settings: IngressSettings, drain_s: int = DRAIN_S
    ) -> None:
        self._taken = taken(address)
        self._server = server(app, _limits(settings), drain_s, self._taken.counts)
        self._serving = asyncio.create_task(self._server.serve([self._taken.socket]))

    @property
    def is_up(self) -> bool:
        """Return whether it still takes connections."""
        return not self._serving.done()

    async def close(self) -> None:
        """Take no more connections; wait for the requests in flight, cancel those that outlast."""
        self._server.should_exit = True
        await self._serving
        self._taken.close()


def _limits(settings: IngressSettings) -> ConnectionLimits:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return ConnectionLimits(
        header_bytes=settings.max_header_bytes,
        body_bytes=settings.max_body_bytes,
        header_s=settings.header_timeout_s,
        body_s=settings.body_timeout_s,
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        connections_here=max(files // 2, files - _OTHER_FILES),
    )
