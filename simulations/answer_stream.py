"""One streamed chat answer, put together from its events."""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec

from scalesim.headers import CACHED_TOKENS, REPLICA, CachedTokens
from scalesim.me import TextListener


class AnswerStream:
    """Reads one server-sent event stream.

    Args:
        on_text: Called with each piece of text as it comes.

    Attributes:
        error: Why it failed; empty where it did not.
        first_s: Monotonic clock at the first token; nan before it.
        cached: Where the prompt's tokens were found.
        usage: OpenAI's token counts; empty before the end.
        replica: Which replica answers.
    """

    def __init__(self, on_text: TextListener | None = None) -> None:
        self.error = ""
        self.first_s = float("nan")
        self.cached = CachedTokens(0, 0, 0, 0)
        self.usage: dict[str, Any] = {}
        self.replica = ""
        self._parts: list[str] = []
        self._tools: dict[int, dict[str, Any]] = {}
        self._on_text = on_text

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._parts)

    @property
    def output_tokens(self) -> int:
        """Generated, as the server counted them; 0 before the end."""
        return int(self.usage.get("completion_tokens", 0))

    def message(self) -> dict[str, Any]:
        """Return OpenAI's message; `tool_calls` are in it where there are some."""
        calls = [self._tools[index] for index in sorted(self._tools)]
        message = {"role": "assistant", "content": self.text}
        return {**message, "tool_calls": calls} if calls else message

    async def read(self, response: httpx.Response) -> None:
        """Read to the end; what goes wrong is in `error`."""
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
            delta = choice["delta"]
            if text := delta.get("content"):
                self._parts.append(text)
                if self._on_text is not None:
                    self._on_text(text)
            for piece in delta.get("tool_calls") or ():
                self._take_tool(piece)
        if event.get("usage"):
            self.usage = event["usage"]

    def _take_tool(self, piece: dict[str, Any]) -> None:
        new = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._tools.setdefault(piece.get("index", 0), new)
        call["id"] = piece.get("id") or call["id"]
        for field, text in (piece.get("function") or {}).items():
            call["function"][field] += text or ""
