"""A process's own `/metrics`: a small server in threads beside the event loop.

It answers while the loop is busy or stuck, which is when its figures are wanted.
"""

from __future__ import annotations

import logging
import socket
import threading
from http import HTTPStatus
from http.server import ThreadingHTTPServer

from prometheus_client import MetricsHandler
from prometheus_client.registry import Collector, CollectorRegistry

from scalesim.headers import bears
from scalesim.settings import ANY_ADDRESS, MetricsSettings

_logger = logging.getLogger(__name__)

_CLIENT_S = 10.0  # longest a client may take to ask: a thread waits for it
_END_POLL_S = 0.1


class Endpoint:
    """Answers scrapes from construction to `close`, on the first port that is free.

    Where none is, it says so in the log: a process serves without being watched.

    Args:
        figures: What is told; collected in a thread for each scrape.
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
        registry = CollectorRegistry()
        registry.register(figures)
        handler = type("Handler", (_Handler,), {"registry": registry, "key": key})
        self.address = ""
        self._server = _listening(settings.host, ports, handler)
        if self._server is not None:
            host = here if settings.host in ANY_ADDRESS else settings.host
            port = self._server.server_address[1]
            self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            threading.Thread(
                target=self._server.serve_forever, args=(_END_POLL_S,), name="metrics", daemon=True
            ).start()

    def close(self) -> None:
        """Give the port back; safe to call twice."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Handler(MetricsHandler):
    """Prometheus' own handler behind a key."""

    key: str
    timeout = _CLIENT_S

    def do_GET(self) -> None:
        if self.key and not bears(self.headers.get("Authorization", ""), self.key):
            self.send_error(HTTPStatus.UNAUTHORIZED, "the API key is missing or wrong")
            return
        try:
            super().do_GET()
        except TimeoutError:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "the event loop does not answer")


class _Server(ThreadingHTTPServer):
    allow_reuse_port = False  # Python 3.12 shares a port between two servers, silently

    def __init__(self, host: str, port: int, handler: type[_Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)


def _listening(host: str, ports: range, handler: type[_Handler]) -> _Server | None:
    fault: OSError | None = None
    for port in ports:
        try:
            return _Server(host, port, handler)
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
