"""Serve deployments that stand in for ingress and replicas: real routing and calls, no engine."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from ray import serve

from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.deployments.calls import AnswerHeader, AnswerPart, Call
from scalesim.deployments.ingress_metrics import IngressMetrics
from scalesim.deployments.replica_client import ReplicaAnswer, ReplicaClient
from scalesim.deployments.suspects import EngineLostError, Loss, Suspects, Suspicion
from scalesim.headers import CachedTokens

DEADLINE_S = 60.0
_LEAVE_S = 0.3

T = TypeVar("T")


@serve.deployment
class NoEngine:
    """Does what a call's body says: `say` its process, `wait`, or `lose` its engine."""

    def __init__(self) -> None:
        self._running = 0
        self._name = serve.get_replica_context().replica_id.unique_id

    async def answer(self, call: Call) -> AnswerPart:
        self._running += 1
        try:
            match call.body["do"]:
                case "wait":
                    await asyncio.Event().wait()
                case "nap":
                    await asyncio.sleep(2.0)
                case "lose" if call.body["where"] == self._name:
                    asyncio.get_running_loop().call_later(_LEAVE_S, os._exit, 1)
                    raise EngineLostError("it crashed", Suspicion[call.body["verdict"]])
            head = AnswerHeader(200, "application/json", CachedTokens(), self._name)
            return head, f"{os.getpid()} {self._running - 1}".encode()
        finally:
            self._running -= 1

    async def stream(self, call: Call) -> AsyncIterator[AnswerPart]:
        self._running += 1
        try:
            yield AnswerHeader(200, "text/event-stream", CachedTokens(), self._name), b"first"
            while call.body["do"] == "wait":
                await asyncio.sleep(0.001)
                yield b"more"
        finally:
            self._running -= 1


@serve.deployment
class RequestCaller:
    """The ingress' replica client, driven by tests."""

    async def __init__(self, replicas: Any) -> None:  # type: ignore[misc]
        self._losses: list[Loss] = []
        suspects = Suspects(tell=self._losses.append)
        self._replica_client = ReplicaClient(
            replicas, DEADLINE_S, IngressMetrics(), suspects, _alone
        )
        self._loop = BackgroundLoop("rotation", self._replica_client.ask)
        self._held: list[asyncio.Task[ReplicaAnswer]] = []

    async def ask(self, **body: Any) -> tuple[str, str]:
        """Return who answered, and what."""
        answer = await self._replica_client.begin(_call(**body))
        return answer.head.replica, answer.first.decode()

    async def hold(self, requests: int) -> None:
        """Begin requests that wait until `let_go`."""
        calls = [_call(key=key, do="wait") for key in range(requests)]
        self._held += [_apart(self._replica_client.begin(call)) for call in calls]

    async def let_go(self) -> None:
        """End what is held."""
        for task in self._held:
            task.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)

    async def losses(self) -> int:
        """Return how often a request was held to be one that may have ended a replica."""
        return len(self._losses)

    async def everyone(self) -> dict[str, list[int]]:
        """Return process and running requests of the replicas that answer, by name."""
        counts = await asyncio.gather(*(_apart(self.ask(key=key)) for key in range(32)))
        return {name: [int(figure) for figure in first.split()] for name, first in counts}

    async def storm(self, requests: int) -> int:
        """Begin many requests and leave them all, each at another moment; return how many began."""
        begun = 0
        tasks = []
        for n in range(requests):
            call = _call(key=n, do="wait", stream=n % 2 == 0)
            tasks.append(_apart(self._replica_client.begin(call)))
            await asyncio.sleep(0.001 * (n % 3))
            if n >= 8:
                tasks[n - 8].cancel()
        for task in tasks:
            task.cancel()
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(answer, ReplicaAnswer):
                begun += 1
                self._replica_client.close(answer)
        return begun


async def _alone() -> None:
    """There is no other process to tell."""


def _apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work as if it were another request: Serve separates those by their context."""
    return asyncio.create_task(work, context=contextvars.Context())


def _call(key: int = 1, **body: Any) -> Call:
    return Call(key, "chat", {"do": "say"} | body, "salt")
