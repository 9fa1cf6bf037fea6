"""One streaming chat call, timed from the outside as any client would see it."""

from __future__ import annotations

import time
from typing import Any, NamedTuple, Protocol

import httpx
import msgspec

from scalesim.headers import CACHED_TOKENS, REPLICA, CachedTokens
from scalesim.proxies import may_be_proxied

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


class Calling(Protocol):
    """A way to make calls."""

    async def call(self, model: str, system: str, user: str, headers: dict[str, str]) -> Answer:
        """Return the answer to one prompt; a failure is an answer with `error`, never raised."""
        ...

    async def close(self) -> None:
        """Release what it holds; it is not used again."""
        ...


class Caller:
    """Makes chat calls over one pool of kept connections; used within `async with`.

    Args:
        base_url: Of the stack, without `/v1`.
        output_tokens: To generate, exactly: greedy and past the end token.
    """

    def __init__(self, base_url: str, output_tokens: int) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=_TIMEOUT_S,
            limits=limits,
            trust_env=may_be_proxied(base_url),
        )
        self._fixed = {
            "max_tokens": output_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def call(self, model: str, system: str, user: str, headers: dict[str, str]) -> Answer:
        """Return the answer to one prompt; a failure is an answer with `error`, never raised."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        start = time.monotonic()
        stream = _AnswerStream()
        try:
            request = self._client.stream(
                "POST",
                _PATH,
                json={**self._fixed, "model": model, "messages": messages},
                headers=headers,
            )
            async with request as response:
                await stream.read(response)
        except httpx.HTTPError as error:
            stream.error = f"{type(error).__name__}: {error}"
        end = time.monotonic()
        return Answer(
            text="" if stream.error else "".join(stream.parts),
            error=stream.error,
            start_s=start,
            ttft_s=stream.first_s - start,
            latency_s=end - start,
            cached=stream.cached,
            output_tokens=stream.output_tokens,
            replica=stream.replica,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class _AnswerStream:
    """Reads one server-sent event stream."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.error = ""
        self.first_s = float("nan")
        self.cached = CachedTokens(0, 0, 0, 0)
        self.output_tokens = 0
        self.replica = ""

    async def read(self, response: httpx.Response) -> None:
        self.cached = CachedTokens.parse(response.headers.get(CACHED_TOKENS, ""))
        self.replica = response.headers.get(REPLICA, "")
        if not response.is_success:
            body = (await response.aread()).decode(errors="replace")
            self.error = f"HTTP {response.status_code}: {body[:300]}"
            return
        finished = False
        async for line in response.aiter_lines():
            if line.startswith("data: [DONE]"):
                finished = True
            elif line.startswith("data:"):
                self._take(msgspec.json.decode(line[5:]))
        if not finished and not self.error:
            self.error = "the stream ended before [DONE]"

    def _take(self, event: dict[str, Any]) -> None:
        if "error" in event:
            self.error = str(event["error"])
            return
        for choice in event.get("choices", ()):
            if self.first_s != self.first_s:
                self.first_s = time.monotonic()
            self.parts.append(choice["delta"].get("content") or "")
        if event.get("usage"):
            self.output_tokens = event["usage"]["completion_tokens"]
