"""Embeddings, which another server makes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import httpx
from pydantic import Field, StringConstraints, ValidationError

from scalesim.deployments.requests.completions import Prompt
from scalesim.deployments.requests.refusal import refusal
from scalesim.deployments.requests.shared_fields import RequestModel
from scalesim.errors import NotServedError, ReplicaUnavailableError
from scalesim.settings import EmbeddingsSettings


class EmbeddingsRequest(RequestModel):
    """What embeddings may be asked for."""

    input: Prompt
    """A string, strings, token ids or lists of token ids."""
    model: Annotated[str, StringConstraints(max_length=512)] = ""
    """As the other server calls it; `ingress.embeddings.model` goes before it."""
    encoding_format: Literal["float", "base64"] = "float"
    """How numbers are written."""
    dimensions: int = Field(1, ge=1, le=2**16)
    """Of each embedding."""
    user: str = Field("", exclude=True)
    """Taken and not used."""


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
            ReplicaUnavailableError: It does not answer.
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
            self._http = httpx.AsyncClient(headers=headers, timeout=settings.timeout_s)
        try:
            answer = await self._http.post(f"{settings.url.rstrip('/')}/embeddings", json=asked)
        except httpx.HTTPError as error:
            raise ReplicaUnavailableError(
                f"the server at ingress.embeddings.url did not answer ({type(error).__name__}): "
                "see whether it runs"
            ) from error
        return ForwardedAnswer(answer.status_code, answer.content)

    async def close(self) -> None:
        """Close connections."""
        if self._http is not None:
            await self._http.aclose()
