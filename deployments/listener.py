"""Serves an app on the stack's address, without a proxy in front."""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.types import ASGIApp

from deployments.address import taken

DRAIN_S = 30
"""Requests in flight get this long when replicas and ingress are asked to stop."""

_KEEP_ALIVE_S = 90
"""An idle connection is closed after this long, as by Serve's proxies."""


class Listener:
    """Serves an app on a held address, in the running event loop.

    Args:
        app: What answers.
        address: Name of the `Address`; where another listener has it too, both get connections.
        drain_s: Seconds that requests in flight get once it is closed.
    """

    def __init__(self, app: ASGIApp, address: str, drain_s: int = DRAIN_S) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
        )
        self._server = uvicorn.Server(config)
        self._socket = taken(address)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))

    @property
    def is_up(self) -> bool:
        """Return whether it still takes connections."""
        return not self._serving.done()

    async def close(self) -> None:
        """Take no more connections; wait for the requests in flight, cancel those that outlast."""
        self._server.should_exit = True
        await self._serving
        self._socket.close()
