"""An address of the stack's own: held while the stack runs, listened on by its ingress."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp

from scalesim.errors import ConfigurationError

DRAIN_S = 30
"""Requests in flight get this long when replicas and ingress are asked to stop."""

_KEEP_ALIVE_S = 90
"""An idle connection is closed after this long, as by Serve's proxies."""


class Listener:
    """Serves an app on a held address, in the running event loop, without a proxy in front.

    Args:
        app: What answers.
        host: Address.
        port: Port; where another listener of this user has it, both get connections.
        drain_s: Seconds that requests in flight get once it is closed.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, drain_s: int = DRAIN_S) -> None:
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
        self._socket = _bound(host, port)
        self._socket.listen(config.backlog)
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


def hold(host: str, port: int) -> socket.socket:
    """Return a socket that keeps an address for `Listener`s of this user; 0 takes a free port.

    Raises:
        ConfigurationError: It cannot be had.
    """
    try:
        with _socket(host, socket.SO_REUSEADDR) as probe:
            # What was served a moment ago may be served again; what is served now may not, though
            # two listeners of one user could share it.
            probe.bind((host, port))
            port = probe.getsockname()[1]
        return _bound(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"ingress.port {port} of {host} cannot be had ({error.strerror}): stop what has it, or "
            "use another; 0 takes a free one"
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    taken = _socket(host, socket.SO_REUSEADDR, socket.SO_REUSEPORT)
    try:
        taken.bind((host, port))
    except OSError:
        taken.close()
        raise
    return taken


def _socket(host: str, *options: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    for option in options:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    return made
