"""The whole ingress without Ray: its routes over replicas that are made up."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from ray import serve

from scalesim.deployments import ingress
from scalesim.deployments.calls import AnswerHeader, Call
from scalesim.deployments.ingress_metrics import exposition
from scalesim.errors import ReplicaUnavailableError, ScaleSimError
from scalesim.headers import CachedTokens
from scalesim.settings import StackSettings

(Routes,) = (cls for cls in ingress.Ingress.func_or_class.__mro__ if "distances" in vars(cls))
SETTINGS = {
    "engine": {"model_path": "m", "arm": "stock"},
    "ingress": {"processes": 1},
    "logs": {"identities": "named"},
}
CHAT = {"model": "scalesim", "messages": [{"role": "user", "content": "hi"}]}


class MadeUp:
    """Replicas whose streams of six tokens end well, or break off."""

    breaks = False
    closed = 0

    async def begin(self, call: Call) -> Any:
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


class Running:
    def __init__(self, app: Any, client: httpx.AsyncClient, replicas: MadeUp) -> None:
        self._app, self.client, self.replicas = app, client, replicas

    async def chat(self, **more: Any) -> httpx.Response:
        headers = {"X-Agent-Id": "bob", "X-Request-Id": "mine"}
        return await self.client.post("/v1/chat/completions", json=CHAT | more, headers=headers)

    def shown(self) -> str:
        return exposition([("i", self._app._metrics.families())])


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    context = SimpleNamespace(replica_id=SimpleNamespace(unique_id="i"))
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)
    monkeypatch.setattr(ingress, "keep_serve_on_loopback", lambda: None)
    bare = type("Bare", (Routes,), {"__del__": lambda self: None})
    app, replicas = bare.__new__(bare), MadeUp()
    await app.__init__(StackSettings.model_validate(SETTINGS), MagicMock())
    app._serving = app._serving._replace(replicas=replicas)
    transport = httpx.ASGITransport(app.__serve_build_asgi_app__())
    async with httpx.AsyncClient(transport=transport, base_url="http://stack") as client:
        yield Running(app, client, replicas)
    for loop in app._loops:
        await loop.stop()
    await Routes.__del__(app)


async def test_answers_are_counted_and_leave_no_line(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ray.serve"):
        whole, stream = await running.chat(), await running.chat(stream=True)
    assert (whole.status_code, stream.status_code) == (200, 200)
    assert whole.headers["x-scalesim-replica"] == "r1"
    shown = running.shown()
    assert 'scalesim_output_tokens_total{ingress="i"} 11.0' in shown
    assert 'scalesim_output_token_seconds_count{ingress="i"} 1.0' in shown
    assert running.replicas.closed == 1
    assert [each for each in caplog.messages if "request failed" in each] == []


async def test_what_fails_leaves_one_line_each(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("ray.serve").addHandler(caplog.handler)
    running.replicas.breaks = True
    with caplog.at_level(logging.INFO, "ray.serve"):
        await running.chat(stream=True)
        await running.chat(temperature=99)
        await running.client.get("/nowhere")
        await running.client.delete("/v1/simulations/town")
        await running.client.get("/health")
    logging.getLogger("ray.serve").removeHandler(caplog.handler)
    lines = dict.fromkeys(each for each in caplog.messages if "request failed" in each)
    broken, refused, nowhere, stock = lines
    assert 'x_request_id="mine" status=503 code="replica_unavailable"' in broken
    assert 'simulation="default" agent="bob"' in broken
    assert 'status=400 code="invalid_request"' in refused
    assert 'status=404 code="unknown_url"' in nowhere
    assert 'path="/v1/simulations/{simulation}" simulation="town"' in stock
