"""What stands between the network and the routes: keys, body size, decoding, error shape."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from scalesim.deployments.api_keys import ApiKeys, KeyHolder, check_keys
from scalesim.deployments.error_responses import body_of, error_body
from scalesim.errors import (
    ConfigurationError,
    InvalidRequestError,
    ScaleSimError,
)
from scalesim.headers import REQUEST_ID
from scalesim.settings import LOOPBACK, StackSettings

_logger = logging.getLogger(__name__)

_PREFLIGHT_S = 600
"""How long a browser remembers what a page may ask."""

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")

UNKNOWN_URL = "unknown_url"
"""Code of an answer where there is no route."""

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
        ConfigurationError: A `host` is not loopback and there is no key for it; or a key cannot be
            distinguished from another.
    """
    ingress = settings.ingress
    own = ingress.api_key.get_secret_value()
    check_keys(ingress.api_keys, own)
    for section, has_key in (("ingress", own or ingress.api_keys), ("metrics", own)):
        host = getattr(settings, section).host
        if host not in LOOPBACK and not has_key:
            raise ConfigurationError(
                f"{section}.host is {host!r} but ingress.api_key is empty: set a key, or bind to "
                "127.0.0.1"
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


def guarded(
    handler: Handler, keys: ApiKeys, refused: Callable[[Request, ScaleSimError], None]
) -> Handler:
    """Return a route's handler that authenticates first and answers our errors in OpenAI's shape.

    Args:
        handler: The route; `holder_of` tells it whose key was shown.
        keys: Every key there is.
        refused: Called with every refused request and its error.
    """

    async def route(request: Request) -> Response:
        fault: ScaleSimError
        try:
            # Not of `request.url`, in which a client has its say: older versions of Starlette
            # make it of the Host header as it comes.
            if request.scope["path"] not in OPEN_PATHS:
                request.state.holder = keys.holder(request)
            return _named(request, await handler(request))
        except ScaleSimError as error:
            fault = error
        except Exception:
            _logger.exception("%s %s failed", request.method, request.scope["path"])
            fault = ScaleSimError("the stack failed at this request: its log tells why")
        refused(request, fault)
        headers = {"Retry-After": "1"} if fault.retryable else None
        return _named(request, Response(body_of(fault), fault.status, headers, "application/json"))

    return route


def holder_of(request: Request) -> KeyHolder:
    """Return the holder of the key that a guarded request was sent with."""
    holder: KeyHolder = request.state.holder
    return holder


def name_of(request: Request) -> str:
    """Return the name of a request: the client's own, or one that is made up once."""
    name: str | None = getattr(request.state, "name", None)
    if name is None:
        given = request.headers.get(REQUEST_ID, "")
        name = request.state.name = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
    return name


def _named(request: Request, answer: Response) -> Response:
    """Give an answer the name of its request, which clients keep in their logs."""
    name = name_of(request)
    answer.headers[REQUEST_ID] = answer.headers["request-id"] = name  # OpenAI's and Anthropic's
    return answer


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """Return what lets web pages of some origins call; nothing where there are none."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
            max_age=_PREFLIGHT_S,
        )
    ]


async def no_route(request: Request, error: Exception) -> Response:
    """Answer what there is no route for, in OpenAI's shape; Starlette calls it.

    Args:
        request: A request of another path or method than any route.
        error: Starlette's, with status 404 or 405.
    """
    assert isinstance(error, HTTPException)
    if request.method == "OPTIONS" and error.headers:
        methods = sorted({*error.headers["Allow"].split(", "), "OPTIONS"})
        return _named(request, Response(status_code=204, headers={"Allow": ", ".join(methods)}))
    message = (
        f"{request.method} {request.scope['path'][:80]} is not served here: the base URL of "
        "OpenAI's clients ends in /v1, chats are POST /v1/chat/completions"
    )
    body = error_body(message, "invalid_request_error", code=UNKNOWN_URL)
    answer = Response(body, error.status_code, error.headers, "application/json")
    return _named(request, answer)
