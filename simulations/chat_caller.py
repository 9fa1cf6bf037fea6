"""One streaming chat call, timed from the outside as any client would see it."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import httpx

from scalesim.headers import CachedTokens
from scalesim.me import TextListener
from scalesim.proxies import may_be_proxied
from scalesim.simulations.answer_stream import AnswerStream

_PATH = "/v1/chat/completions"
_TIMEOUT_S = 600.0  # between two bytes: a call may wait long for its turn, but not without end


class Answer(NamedTuple):
    """What one call returned and how long it took.

    Attributes:
        text: Generated text; empty on failure.
        error: Why it failed; empty on success.
        start_s: Monotonic clock at the start.
        ttft_s: Seconds to the first token; nan where none came.
        latency_s: Seconds to the end.
        cached: Where the prompt's tokens were found.
        output_tokens: Generated, as the server counted them.
        replica: Which replica answered.
    """

    text: str
    error: str
    start_s: float
    ttft_s: float
    latency_s: float
    cached: CachedTokens
    output_tokens: int
    replica: str


class ChatAnswer(NamedTuple):
    """A call's answer with OpenAI's own message and token counts; empty on failure."""

    answer: Answer
    message: dict[str, Any]
    usage: dict[str, Any]


class Caller:
    """Makes chat calls over one pool of kept connections.

    Args:
        base_url: Base URL of the stack, without `/v1`.
        api_key: API key of the stack, where it has one.
    """

    def __init__(self, base_url: str, api_key: str = "") -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=_TIMEOUT_S,
            limits=limits,
            trust_env=may_be_proxied(base_url),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        )

    async def chat(
        self, body: dict[str, Any], headers: dict[str, str], on_text: TextListener | None = None
    ) -> ChatAnswer:
        """Return the answer to a request, which is streamed; a failure is one with `error`."""
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        start = time.monotonic()
        stream = AnswerStream(on_text)
        try:
            request = self._client.stream("POST", _PATH, json=body, headers=headers)
            async with request as response:
                await stream.read(response)
        except httpx.HTTPError as error:
            stream.error = f"{type(error).__name__}: {error}"
        end = time.monotonic()
        answer = Answer(
            text="" if stream.error else stream.text,
            error=stream.error,
            start_s=start,
            ttft_s=stream.first_s - start,
            latency_s=end - start,
            cached=stream.cached,
            output_tokens=stream.output_tokens,
            replica=stream.replica,
        )
        return ChatAnswer(answer, stream.message(), stream.usage)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
