"""One inference request on its way from the ingress to a replica and back."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from scalesim.headers import CachedTokens

Endpoint = Literal["chat", "completions"]


class Call(NamedTuple):
    """A request with its identity resolved, as the router and the replica see it.

    Attributes:
        key: Payload key of the agent's prefix.
        endpoint: Which OpenAI endpoint it came in by.
        body: What is asked, as `scalesim.deployments.requests` accepted it.
        salt: Tenant salt of its KV.
        next_use: Steps from its end to the agent's next request, if reported.
        number: Of this try, in the process that makes it; 0 before.
    """

    key: int
    endpoint: Endpoint
    body: dict[str, Any]
    salt: str
    next_use: float | None = None
    number: int = 0


class AnswerHeader(NamedTuple):
    """What the ingress turns into status line and headers.

    Attributes:
        status: HTTP status.
        media_type: Content type of the body that follows.
        found: Where the prompt was found.
        replica: Name of the replica that answered.
        output_tokens: Tokens generated; those of a stream come as its last piece.
    """

    status: int
    media_type: str
    found: CachedTokens
    replica: str
    output_tokens: int = 0


AnswerPart = tuple[AnswerHeader, bytes] | bytes | int
"""Item of an answer: the first is the head with the first bytes, the others are bytes, and the last
of a stream is the number of tokens it took."""
