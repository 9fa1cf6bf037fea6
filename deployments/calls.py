"""One inference request on its way from the ingress to a replica and back."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from scalesim.headers import CachedTokens

Endpoint = Literal["chat", "completions", "responses", "messages", "tokenize"]
"""OpenAI's, Anthropic's messages, and the tokens of a text."""


class Call(NamedTuple):
    """A request with its identity resolved, as the router and the replica see it.

    Attributes:
        key: Payload key of the agent's prefix.
        endpoint: Which OpenAI endpoint it came in by.
        body: What is asked, as `scalesim.deployments.requests` accepted it.
        salt: Tenant salt of its KV.
        next_use: Steps from its end to the agent's next request, if reported.
        number: Number of this try, in the process that makes it; 0 before.
        under_suspicion: Whether an engine may have been lost because of it: all such calls go to
            one replica, which begins them one at a time.
        step: Step that it belongs to, if stated: of a simulation's calls that wait, the earliest go
            first.
    """

    key: int
    endpoint: Endpoint
    body: dict[str, Any]
    salt: str
    next_use: float | None = None
    number: int = 0
    under_suspicion: bool = False
    step: int | None = None


class AnswerHeader(NamedTuple):
    """What the ingress turns into status line and headers.

    Attributes:
        status: HTTP status.
        media_type: Content type of the body that follows.
        found: Where the prompt was found.
        replica: Name of the replica that answered.
        output_tokens: Tokens generated; those of a stream come with its end.
    """

    status: int
    media_type: str
    found: CachedTokens
    replica: str
    output_tokens: int = 0


class AnswerEnd(NamedTuple):
    """The end of a stream.

    Attributes:
        data: The last bytes.
        output_tokens: Tokens generated.
    """

    data: bytes
    output_tokens: int


AnswerPart = tuple[AnswerHeader, bytes] | bytes | AnswerEnd
"""Item of an answer: the first is the head with the first bytes; a stream goes on with bytes and
has an end."""


def is_head(part: AnswerPart) -> bool:
    """Return whether a part is the first of its answer."""
    return isinstance(part, tuple) and isinstance(part[0], AnswerHeader)


def tokens_of(part: AnswerPart) -> int:
    """Return the tokens that an answer ends with here: those of a stream come with its end."""
    if isinstance(part, AnswerEnd):
        return part.output_tokens
    return part[0].output_tokens if isinstance(part, tuple) else 0
