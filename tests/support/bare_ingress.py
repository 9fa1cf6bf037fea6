"""The whole ingress without Ray: its routes, over replicas and a controller that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from ray import serve

from scalesim.deployments import ingress
from scalesim.deployments.calls import AnswerHeader, Call
from scalesim.errors import ReplicaUnavailableError, ScaleSimError
from scalesim.headers import CachedTokens
from scalesim.settings import StackSettings
from scalesim.vocabulary import ReportAck

LOOPS = {"suspects", "trace", "rotation", "placements"}


class MadeUpReplicas:
    """Replicas whose streams of six tokens end well, or break off; notes what they are asked."""

    breaks = False
    closed = 0

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def ask(self) -> None:
        await asyncio.Event().wait()

    async def begin(self, call: Call) -> Any:
        self.calls.append(call)
        media = "text/event-stream" if call.body.get("stream") else "application/json"
        head = AnswerHeader(200, media, CachedTokens(10, 4), "r1", 5)
        return SimpleNamespace(head=head, first=b"{}")

    async def relay(
        self, answer: Any, ended: Callable[[int], None], broke: Callable[[ScaleSimError], None]
    ) -> AsyncIterator[bytes]:
        yield answer.first
        if self.breaks:
            broke(ReplicaUnavailableError("gone"))
        else:
            ended(6)

    def close(self, answer: Any) -> None:
        self.closed += 1


class NotingController:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, dict[int, float], str]] = []
        self.reported = asyncio.Event()
        self.pinned: list[int] = []

    async def lifecycle(
        self, simulation: str, pin: Any, unpin: Any, done: Any, holder: str
    ) -> None:
        self.pinned += pin.tolist()

    async def report(
        self, simulation: str, epoch: int, keys: Any, distances: Any, holder: str
    ) -> ReportAck:
        pairs = dict(zip(keys.tolist(), distances.tolist(), strict=True))
        self.reports.append((simulation, epoch, pairs, holder))
        self.reported.set()
        return ReportAck(epoch, len(pairs), 0)

    async def placements(self, version: int) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def bare_ingress(
    settings: StackSettings, replicas: MadeUpReplicas, controller: NotingController | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an ingress in this process."""
    (routes,) = (cls for cls in ingress.Ingress.func_or_class.__mro__ if "distances" in vars(cls))
    context = SimpleNamespace(replica_id=SimpleNamespace(unique_id="i"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve, "get_replica_context", lambda: context)
        patch.setattr(ingress, "keep_serve_on_loopback", lambda: None)
        patch.setattr(ingress, "ReplicaClient", lambda *_: replicas)
        patch.setattr(ingress, "RemoteController", lambda *_: controller)
        bare = type("Bare", (routes,), {"__del__": lambda self: None})
        app = bare.__new__(bare)
        await app.__init__(settings, MagicMock())
        transport = httpx.ASGITransport(app.__serve_build_asgi_app__())
        async with httpx.AsyncClient(transport=transport, base_url="http://stack") as client:
            yield client
        running = [task for task in asyncio.all_tasks() if task.get_name() in LOOPS]
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await routes.__del__(app)
