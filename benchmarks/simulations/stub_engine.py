"""A stub of an engine with continuous batching: it computes nothing and takes its time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from scalesim.headers import CachedTokens
from scalesim.me import Chat, TextListener
from scalesim.simulations.chat_caller import Answer, ChatAnswer

PASS_S, SEQUENCE_S, PROMPT_S = 0.015, 0.0005, 0.01
"""A forward pass, what each running sequence adds to it, and each prompt that begins in it: about
what the random `tiny` model takes on two cores."""


class StubEngine:
    """Answers with words of a hash of the prompt, a token a pass; all running ones share a pass."""

    def __init__(self) -> None:
        self._new: list[tuple[int, asyncio.Future[None]]] = []
        self._passes: asyncio.Task[None] | None = None

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        """Return the answer, `max_tokens` passes after it began."""
        begun = time.monotonic()
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tokens = int(parameters["max_tokens"])
        self._new.append((tokens, ended))
        if self._passes is None or self._passes.done():
            self._passes = asyncio.create_task(self._run())
        await ended
        text = hashlib.sha256(repr((agent, messages)).encode()).hexdigest()[:8]
        took = time.monotonic() - begun
        answer = Answer(text, "", begun, took, took, CachedTokens(48), tokens, "stub")
        return ChatAnswer(answer, {}, {})

    async def close(self) -> None:
        """Nothing is held."""

    async def _run(self) -> None:
        running: list[tuple[int, asyncio.Future[None]]] = []
        while running or self._new:
            begun = len(self._new)
            running += self._new
            self._new = []
            await asyncio.sleep(PASS_S + SEQUENCE_S * len(running) + PROMPT_S * begun)
            running = [(left - 1, ended) for left, ended in running]
            for left, ended in running:
                if left == 0:
                    ended.set_result(None)
            running = [one for one in running if one[0] > 0]
