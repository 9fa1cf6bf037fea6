"""A process's own `/metrics`: a small server with an event loop of its own, in a thread.

It answers while the process's event loop is busy or stuck, which is when its figures are wanted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from scalesim.controller.connection_limits import ConnectionLimits, server
from scalesim.headers import bears
from scalesim.settings import ANY_ADDRESS, MetricsSettings

_logger = logging.getLogger(__name__)

_LIMITS = ConnectionLimits(
    header_bytes=16 * 2**10,
    body_bytes=0,
    header_s=10.0,
    body_s=10.0,
    connections=64,
    connections_per_address=16,
)
"""A scrape is one short request, and few ask for one."""

_END_S = 1
"""A scrape under way gets this long when the endpoint is closed."""


class MetricsEndpoint:
    """Answers scrapes from construction to `close`, on the first port that is free.

    Where none is, it says so in the log: a process serves without being watched.

    Args:
        figures: The metrics; collected in a thread, one scrape at a time.
        settings: Where to listen.
        ports: Those of the settings for this process; empty is off.
        key: Asked for as a bearer token; empty asks for none.
        here: This machine, for `address`, where the endpoint listens on all of its addresses.

    Attributes:
        address: HOST:PORT to scrape; "" where nothing answers.
    """

    def __init__(
        self, figures: Collector, settings: MetricsSettings, ports: range, key: str, here: str
    ) -> None:
        self.address = ""
        self._socket = _listening(settings.host, ports)
        if self._socket is None:
            return
        host = here if settings.host in ANY_ADDRESS else settings.host
        port = self._socket.getsockname()[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server = server(GZipMiddleware(_Scrapes(figures, key)), _LIMITS, _END_S)
        serving = self._server.serve([self._socket])
        self._thread = threading.Thread(
            target=asyncio.run, args=(serving,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Give the port back; safe to call twice."""
        if self._socket is not None:
            self._server.should_exit = True
            self._thread.join()
            self._socket.close()
            self._socket = None


class _Scrapes:
    """What is answered: collecting may wait for another event loop, so it is done in a thread."""

    def __init__(self, figures: Collector, key: str) -> None:
        self._key = key
        self._registry = CollectorRegistry()
        self._registry.register(figures)
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if self._key and not bears(request.headers.get("authorization", ""), self._key):
            answer: Response = PlainTextResponse("the API key is missing or wrong\n", 401)
        else:
            answer = await self._scrape(request)
        await answer(scope, receive, send)

    async def _scrape(self, request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        try:
            async with self._turn:
                text = await asyncio.to_thread(encode, self._registry)
        except TimeoutError:
            return PlainTextResponse("the event loop does not answer\n", 503)
        return Response(text, headers={"Content-Type": media_type})


def _listening(host: str, ports: range) -> socket.socket | None:
    fault: OSError | None = None
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family)
        except OSError as error:
            fault = error
    if fault is not None:
        _logger.error(
            "No metrics on ports %d to %d of %s (%s): end what listens there, or choose others in "
            "metrics.controller_port and metrics.replica_port",
            ports[0],
            ports[-1],
            host,
            fault,
        )
    return None
