"""Limits on HTTP clients: uvicorn's protocol, bounded.

uvicorn bounds neither headers nor the time a client may take to send a request or to read an
answer, and counts connections only once they have asked for something.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scalesim.controller.acceptor import SharingServer
from scalesim.controller.connection_counts import ConnectionCounts

_KEEP_ALIVE_S = 90
"""An idle connection is closed after this long, as by Serve's proxies."""

_LINGER_S = 2.0
"""What a connection that is given up gets to read why, and one too many to ask."""

_REFUSED_MORE = 256
"""Connections over the limit that are still answered 503; further ones are dropped at once."""

_FRAMING = 8
"""Bytes on the wire for one of a body: chunks of a single byte take six."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients may take.

    Attributes:
        header_bytes: Bytes of the request line and all headers together.
        body_bytes: Bytes of a body; what the app allows, framing is added.
        header_s: From the connection, or the first byte of a further request, to the last header.
        body_s: From there to the end of the body; and for a client to read on in an answer.
        connections: At a time, of all processes that count together; further ones are answered 503.
        connections_per_address: The same, of one client address.
        connections_here: The same as `connections`, of this process alone.
    """

    header_bytes: int
    body_bytes: int
    header_s: float
    body_s: float
    connections: int
    connections_per_address: int
    connections_here: int = sys.maxsize


def server(
    app: ASGIApp,
    limits: ConnectionLimits,
    drain_s: int,
    counts: ConnectionCounts | None = None,
) -> uvicorn.Server:
    """Return what serves an app within limits, on the sockets that its `serve` is given.

    Args:
        app: What answers.
        limits: What clients may take.
        drain_s: Seconds that requests in flight get once it should exit.
        counts: Counts of the connections that there are; its own where None.
    """
    counts = counts or ConnectionCounts()
    config = uvicorn.Config(
        app,
        http=_bounded(limits, counts),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
    )
    return SharingServer(config, counts)


def _bounded(limits: ConnectionLimits, counts: ConnectionCounts) -> type[LimitedProtocol]:
    """Return the protocol of one server."""
    return type("Bounded", (LimitedProtocol,), {"limits": limits, "counts": counts})


class LimitedProtocol(HttpToolsProtocol):
    """One connection of a `server`."""

    limits: ConnectionLimits
    counts: ConnectionCounts

    _address = ""
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _ending: asyncio.TimerHandle | None = None
    _in_headers = False
    _in_message = False
    _message_bytes = 0
    _header_bytes = 0
    _chunk_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection; one above the limits gets time for a request, and a 503."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._address = self.client[0] if self.client else ""
        self.counts.add(self._address)
        limits = self.limits
        over = self.counts.total - limits.connections
        over = max(over, len(self.connections) - limits.connections_here)
        if over <= 0 and self.counts.of(self._address) <= limits.connections_per_address:
            self._expect(self.limits.header_s)
        elif over <= _REFUSED_MORE:
            self.app = _full
            self._expect(min(_LINGER_S, self.limits.header_s))
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection and cancel its timers."""
        self.counts.remove(self._address)
        self._expect(None)
        for timer in (self._stalled, self._ending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; end the connection where a request is larger than the limits."""
        if self._ending is not None:
            return
        self._chunk_bytes = len(data)
        self._message_bytes += len(data)
        super().data_received(data)
        if self._ending is not None or self.transport.is_closing():
            return
        limits = self.limits
        headers = max(self._header_bytes, self._message_bytes if self._in_headers else 0)
        if headers > limits.header_bytes:
            self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._message_bytes > limits.header_bytes + _FRAMING * limits.body_bytes:
            self._give_up(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif self._deadline is None and (self._in_message or self._is_idle):
            self._expect(limits.header_s)  # blank lines begin no request, and end no waiting

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        """Begin to count the bytes of a request."""
        super().on_message_begin()
        self._in_headers = self._in_message = True
        self._header_bytes, self._message_bytes = 0, self._chunk_bytes
        self._expect(self.limits.header_s)

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the path with those of the headers."""
        self._header_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of a header, in front of the body or behind it."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes <= self.limits.header_bytes:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass the request on unless its headers are larger than the limits."""
        self._in_headers = False
        self._expect(self.limits.body_s)
        if self._header_bytes <= self.limits.header_bytes:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a part of a body on, unless its request was refused."""
        if self._header_bytes <= self.limits.header_bytes:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that all of a request came."""
        self._in_message = False
        self._expect(None)
        if self._header_bytes <= self.limits.header_bytes:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """End the connection if the client does not read for a while."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.body_s, self.transport.abort)

    def on_response_complete(self) -> None:
        """Give the client a while to read the rest where that is the end of the connection."""
        super().on_response_complete()
        if self.transport.is_closing() and self._ending is None:
            self._ending = self.loop.call_later(self.limits.body_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, whether or not its client read the last answer."""
        self._end()

    def _expect(self, within_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if within_s is not None:
            self._deadline = self.loop.call_later(within_s, self._late, within_s)

    def _late(self, within_s: float) -> None:
        self._deadline = None
        if self.flow.read_paused:  # it is us who does not read
            self._expect(within_s)
        elif self.app is _full:  # that is why, however late it asks
            self._give_up(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._give_up(HTTPStatus.REQUEST_TIMEOUT)

    def _give_up(self, status: HTTPStatus) -> None:
        """Say why, where no answer is under way, and close; what still comes is not read."""
        waiting = self._is_idle or self._in_headers or not self.cycle.response_started
        if waiting and not self.transport.is_closing():
            head, body = _refusal(status)
            lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *map(b": ".join, head)]
            self.transport.write(b"\r\n".join([*lines, b"", body]))
        self._end()

    def _end(self) -> None:
        self._expect(None)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._ending is None and not self.transport.is_closing():
            self.transport.write_eof()
            self._ending = self.loop.call_later(_LINGER_S, self.transport.abort)


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    head, body = _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
    status = HTTPStatus.SERVICE_UNAVAILABLE.value
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


_WHY = {
    HTTPStatus.REQUEST_TIMEOUT: "the request took too long to arrive: send it in one go",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large: send less at a time",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the headers are too large: send fewer",
    HTTPStatus.SERVICE_UNAVAILABLE: "there are too many connections: keep fewer, or come again",
}


def _refusal(status: HTTPStatus) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body, in the shape of OpenAI's errors."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"message": _WHY[status], "type": kind, "param": None, "code": status.name.lower()}
    body = msgspec.json.encode({"error": error})
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        head.append((b"retry-after", b"1"))
    return head, body
