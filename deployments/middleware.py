"""What stands between the network and the routes: keys, body size, decoding, error shape."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from scalesim.deployments.error_responses import body_of, error_body
from scalesim.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ScaleSimError,
)
from scalesim.headers import bears
from scalesim.settings import LOOPBACK, StackSettings

_logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health"})
"""Answered without a key: a probe learns nothing but that the process lives."""


class BodyTooLargeError(InvalidRequestError):
    """The body is over `IngressSettings.max_body_bytes`."""

    status = 413
    code = "body_too_large"


class ClientGoneError(ScaleSimError):
    """The client closed its connection; its request is cancelled."""

    status = 499
    code = "client_gone"


def check_binding(settings: StackSettings) -> None:
    """Refuse to serve a network without a key.

    Raises:
        ConfigurationError: A `host` is not loopback and there is no key.
    """
    if settings.ingress.api_key.get_secret_value():
        return
    for section in ("ingress", "metrics"):
        host = getattr(settings, section).host
        if host not in LOOPBACK:
            raise ConfigurationError(
                f"{section}.host is {host!r} but ingress.api_key is empty: set a key, or bind to "
                "127.0.0.1"
            )


def authenticate(request: Request, key: str) -> None:
    """Let a request pass if it carries the key, or if there is none to carry.

    Raises:
        AuthenticationError: No key or a wrong one.
    """
    if not key or request.url.path in OPEN_PATHS:
        return
    if not bears(request.headers.get("authorization", ""), key):
        raise AuthenticationError(
            "the API key is missing or wrong: send 'Authorization: Bearer KEY' with the key the "
            "stack was started with"
        )


async def read_body(request: Request, limit_bytes: int) -> dict[str, Any]:
    """Return the decoded JSON or msgpack object of a request.

    Raises:
        BodyTooLargeError: Over `limit_bytes`; no more than that is read.
        InvalidRequestError: Not an object of the declared type.
        ClientGoneError: The rest of it will not come.
    """
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit_bytes:
                raise BodyTooLargeError(
                    f"the body is over {limit_bytes} bytes: send less at a time, or raise "
                    "ingress.max_body_bytes",
                    "body",
                )
            chunks.append(chunk)
    except ClientDisconnect:
        raise ClientGoneError("the client closed the connection within its body") from None
    packed = request.headers.get("content-type", "").startswith("application/msgpack")
    decode = msgspec.msgpack.decode if packed else msgspec.json.decode
    try:
        return decode(b"".join(chunks), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(
            f"the body is not an object in {'msgpack' if packed else 'JSON'} ({error}): send one",
            "body",
        ) from None


Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what `work` does, or cancel it once the client is gone.

    The body must have been read: what is left of it is lost.

    Raises:
        ClientGoneError: It is; nothing reads the answer.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError("the client closed the connection before it was answered")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


Handler = Callable[[Request], Awaitable[Response]]


def guarded(handler: Handler, key: str, refused: Callable[[ScaleSimError], None]) -> Handler:
    """Return a route's handler that authenticates first and answers our errors in OpenAI's shape.

    Args:
        handler: The route.
        key: API key, or empty on loopback.
        refused: Called with the error of every refused request.
    """

    async def route(request: Request) -> Response:
        fault: ScaleSimError
        try:
            authenticate(request, key)
            return await handler(request)
        except ScaleSimError as error:
            fault = error
        except Exception:
            _logger.exception("%s %s failed", request.method, request.url.path)
            fault = ScaleSimError("the stack failed at this request: its log says why")
        refused(fault)
        headers = {"Retry-After": "1"} if fault.retryable else None
        return Response(body_of(fault), fault.status, headers, "application/json")

    return route


async def no_route(request: Request, error: Exception) -> Response:
    """Answer what there is no route for, in OpenAI's shape; Starlette calls it.

    Args:
        request: Of another path or method than any route.
        error: Starlette's, with status 404 or 405.
    """
    assert isinstance(error, HTTPException)
    message = (
        f"{request.method} {request.url.path[:80]} is not served here: the base URL of OpenAI's "
        "clients ends in /v1, chats are POST /v1/chat/completions"
    )
    body = error_body(message, "invalid_request_error", code="unknown_url")
    return Response(body, error.status_code, error.headers, "application/json")
