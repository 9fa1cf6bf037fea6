"""Agents that ask all the time, and what became of every request."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

import httpx

AGENTS = 12
TOKENS = 24
"""Tokens of an answer: several passes of the engine, so that faults hit requests half way."""

PAUSE_S = 0.1
"""Pause after a connection that broke, as clients wait before they try again."""

REQUEST_S = 240.0
"""Longest a request may take, an engine's start included."""


class End(Enum):
    """How a request ended."""

    ANSWERED = "answered"
    WRONG = "answered otherwise than undisturbed"
    BROKEN = "lost after its answer had begun, with an error"
    CUT = "lost with its connection to a killed ingress"
    REFUSED = "refused before its answer began, or its connection"
    HUNG = "neither answered nor refused"


@dataclass
class LoadTally:
    """What became of the requests of one load.

    Attributes:
        ends: Requests by how they ended.
        reasons: Why requests were not answered, with how often.
    """

    ends: Counter[End] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    _asked: dict[int, float] = field(default_factory=lambda: dict.fromkeys(range(AGENTS), 0.0))

    def add(self, agent: int, asked: float, end: End, reason: str = "") -> None:
        """Count one request that was asked at that monotonic time."""
        self.ends[end] += 1
        if reason:
            self.reasons[reason[:160]] += 1
        if end is End.ANSWERED:
            self._asked[agent] = asked

    def all_served_since(self, moment: float) -> bool:
        """Return whether every agent got an answer to what it asked after that monotonic time."""
        return min(self._asked.values()) > moment


class Load:
    """Asks in turn for whole answers and for streams, always the same of each agent.

    Args:
        base_url: Of the stack.
        key: Its API key.
    """

    def __init__(self, base_url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_keepalive_connections=0)  # a fresh connection for each request
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=REQUEST_S, limits=limits
        )
        self._expected: dict[int, str] = {}
        self._runs = 0

    async def undisturbed(self) -> None:
        """Learn every agent's right answer."""
        for agent in range(AGENTS):
            whole = await self._whole(agent)
            assert await self._stream(agent) == whole
            self._expected[agent] = whole

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LoadTally]:
        """Ask all the time in the block; what is asked at its end is waited for.

        The agents are others in each block, so that they live on all replicas there are now.
        """
        self._runs += 1
        tally, going = LoadTally(), asyncio.Event()
        agents = [asyncio.create_task(self._agent(n, tally, going)) for n in range(AGENTS)]
        try:
            yield tally
        finally:
            going.set()
            await asyncio.gather(*agents)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _agent(self, agent: int, tally: LoadTally, ended: asyncio.Event) -> None:
        turn = agent
        while not ended.is_set():
            turn += 1
            asked = time.monotonic()
            try:
                answer = await (self._stream if turn % 2 else self._whole)(agent)
            except _NotAnsweredError as error:
                tally.add(agent, asked, error.end, str(error))
            except httpx.TimeoutException as error:
                tally.add(agent, asked, End.HUNG, repr(error))
            except httpx.ConnectError as error:
                tally.add(agent, asked, End.REFUSED, repr(error))
                await asyncio.sleep(PAUSE_S)
            except httpx.TransportError as error:
                tally.add(agent, asked, End.CUT, type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                right = answer == self._expected[agent]
                tally.add(agent, asked, End.ANSWERED if right else End.WRONG)

    async def _whole(self, agent: int) -> str:
        answer = await self._http.post("/v1/chat/completions", json=self._body(agent, False))
        if answer.status_code != 200:
            raise _NotAnsweredError(End.REFUSED, f"{answer.status_code} {answer.text}")
        return str(answer.json()["choices"][0]["message"]["content"])

    async def _stream(self, agent: int) -> str:
        text = ""
        call = self._http.stream("POST", "/v1/chat/completions", json=self._body(agent, True))
        async with call as answer:
            if answer.status_code != 200:
                raise _NotAnsweredError(
                    End.REFUSED, f"{answer.status_code} {(await answer.aread()).decode()}"
                )
            async for line in answer.aiter_lines():
                data = line.removeprefix("data: ")
                if data == "[DONE]":
                    return text
                event = json.loads(data) if data else {}
                if "error" in event:
                    raise _NotAnsweredError(End.BROKEN, event["error"]["message"])
                for choice in event.get("choices", ()):
                    text += choice["delta"].get("content") or ""
        raise _NotAnsweredError(End.HUNG, "a stream ended without a word")

    def _body(self, agent: int, stream: bool) -> dict[str, object]:
        prompt = " ".join(f"w{(agent * 131 + i * 7) % 1000}" for i in range(64))
        return {
            "model": "scalesim",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "stream": stream,
            "user": f"agent-{self._runs}-{agent}",
        }


class _NotAnsweredError(Exception):
    """A request that was not answered, and the reason."""

    def __init__(self, end: End, reason: str) -> None:
        super().__init__(reason)
        self.end = end
