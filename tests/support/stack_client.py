"""HTTP calls against a running stack, as a simulation would make them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx

from scalesim.deployments.stack import Stack

KEY = "test-key"
TOWN_KEY = "town-key"
"""For simulation `town`, a request at a time in each process of the ingress."""
DEADLINE_S = 60.0


def words(agent: int, n: int = 256) -> str:
    return " ".join(f"w{(agent * 131 + i * 7) % 1000}" for i in range(n))


class StackClient:
    def __init__(self, stack: Stack, key: str = KEY, timeout_s: float = DEADLINE_S) -> None:
        self.stack = stack
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=timeout_s)

    async def ask(
        self, agent: int | str, tokens: int = 4, next_use: float | None = None, **more: Any
    ) -> httpx.Response:
        body, given = _call(agent, tokens, more)
        if next_use is not None:
            given["X-Agent-Next-Use"] = f"{next_use:g}"
        return await self.http.post("/v1/chat/completions", json=body, headers=given)

    async def stream(self, agent: int, tokens: int) -> AsyncGenerator[str, None]:
        """Yield the data of each event."""
        body, given = _call(agent, tokens, {"stream": True})
        where = "/v1/chat/completions"
        async with self.http.stream("POST", where, json=body, headers=given) as answer:
            async for line in answer.aiter_lines():
                if line:
                    yield line.removeprefix("data: ")

    async def report(self, epoch: int, distances: dict[int, float]) -> httpx.Response:
        body = {
            "epoch": epoch,
            "ids": [f"agent-{agent}" for agent in distances],
            "distances": list(distances.values()),
        }
        return await self.http.post("/v1/simulations/default/distances", json=body)

    async def agent(self, agent: int) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/simulations/default/agents/agent-{agent}")
        answer.raise_for_status()
        return dict(answer.json())

    async def status(self) -> dict[str, Any]:
        answer = await self.http.get("/v1/status")
        answer.raise_for_status()
        return dict(answer.json())

    async def scrapes(self) -> dict[str, httpx.Response]:
        """Return what controller and replicas tell of themselves, by who they are."""
        status = await self.status()
        places = {name: replica["metrics"] for name, replica in status["replicas"].items()}
        places |= {"controller": status["metrics"]}
        return {
            name: await self.http.get(f"http://{place}/metrics") for name, place in places.items()
        }

    async def until(
        self, holds: Callable[[], Awaitable[bool]], within_s: float = DEADLINE_S
    ) -> None:
        async with asyncio.timeout(within_s):
            while not await holds():
                await asyncio.sleep(0.02)


def _call(
    agent: int | str, tokens: int, more: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    number = agent if isinstance(agent, int) else 0
    body = {
        "model": "scalesim",
        "messages": [{"role": "user", "content": words(number)}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        **more,
    }
    return body, {"X-Agent-Id": f"agent-{agent}"}


def text_of(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])
