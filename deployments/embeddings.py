"""Embeddings, which another server makes."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Literal, NamedTuple

import httpx
from pydantic import Field, StringConstraints, ValidationError

from scalesim.deployments.requests.completions import Prompt
from scalesim.deployments.requests.refusal import refusal
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.errors import NotServedError, ReplicaUnavailableError
from scalesim.proxies import may_be_proxied
from scalesim.settings import EmbeddingsSettings

MOST_BYTES = 256 * 2**20
"""Largest answer: 2,048 embeddings of 3,072 numbers, the most that OpenAI makes at once, are
half."""

_KEY_REFUSED = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
)


class EmbeddingsRequest(RequestModel):
    """What embeddings may be asked for."""

    input: Prompt
    """A string, strings, token ids or lists of token ids."""
    model: Annotated[str, StringConstraints(max_length=512)] = ""
    """The other server's name of the model; `ingress.embeddings.model` replaces it."""
    encoding_format: Literal["float", "base64"] = "float"
    """How numbers are written."""
    dimensions: int = Field(1, ge=1, le=2**16)
    """Numbers in each embedding."""
    user: str = Field("", exclude=True)
    """Accepted, without effect."""


class ForwardedAnswer(NamedTuple):
    """What the other server answered."""

    status: int
    body: bytes


class Embeddings:
    """Forwards requests for embeddings.

    Args:
        settings: Where to; None serves none.
    """

    def __init__(self, settings: EmbeddingsSettings | None) -> None:
        self._settings = settings
        self._http: httpx.AsyncClient | None = None

    async def answer(self, body: dict[str, Any]) -> ForwardedAnswer:
        """Return what the other server answers.

        Raises:
            NotServedError: There is none.
            InvalidRequestError: A field is not listed or out of its bounds; names it.
            ReplicaUnavailableError: It does not answer, in time or at all, or not what can be
                passed on.
        """
        settings = self._settings
        if settings is None:
            raise NotServedError(
                "this stack makes no embeddings: set ingress.embeddings.url to the base URL of a "
                "server that does, such as http://HOST:PORT/v1"
            )
        try:
            request = EmbeddingsRequest.model_validate(body)
        except ValidationError as error:
            raise refusal(error) from None
        asked = request.model_dump(exclude_unset=True)
        if settings.model:
            asked["model"] = settings.model
        if self._http is None:
            key = settings.api_key.get_secret_value()
            headers = {"Authorization": f"Bearer {key}"} if key else None
            self._http = httpx.AsyncClient(
                headers=headers,
                timeout=settings.timeout_s,
                trust_env=may_be_proxied(settings.url),
            )
        try:
            async with asyncio.timeout(settings.timeout_s):
                return await _forwarded(self._http, f"{settings.url.rstrip('/')}/embeddings", asked)
        except (httpx.HTTPError, TimeoutError) as error:
            raise ReplicaUnavailableError(
                f"the server at ingress.embeddings.url did not answer ({type(error).__name__}): "
                "see whether it runs"
            ) from error

    async def close(self) -> None:
        """Close connections."""
        if self._http is not None:
            await self._http.aclose()


async def _forwarded(http: httpx.AsyncClient, url: str, asked: dict[str, Any]) -> ForwardedAnswer:
    """Return what a server answers, unless that is for the operator alone.

    Raises:
        ReplicaUnavailableError: It refuses our key, which may be in what it says; it is elsewhere;
            or it says too much.
    """
    async with http.stream("POST", url, json=asked) as answer:
        status, body = answer.status_code, bytearray()
        if status in _KEY_REFUSED:
            raise ReplicaUnavailableError(
                f"the server at ingress.embeddings.url refuses the stack ({status}): see "
                "ingress.embeddings.api_key"
            )
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise ReplicaUnavailableError(
                f"the server at ingress.embeddings.url is elsewhere ({status}): name where it leads"
            )
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ReplicaUnavailableError(
                    f"the server at ingress.embeddings.url answers with over {MOST_BYTES} bytes: "
                    "ask for fewer embeddings at a time"
                )
    return ForwardedAnswer(status, bytes(body))
