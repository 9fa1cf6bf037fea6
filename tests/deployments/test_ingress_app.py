"""What the ingress counts and what it logs, over replicas that are made up."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from scalesim.settings import StackSettings
from tests.support.bare_ingress import MadeUpReplicas, bare_ingress

SETTINGS = {
    "engine": {"model_path": "m", "arm": "stock"},
    "ingress": {"processes": 1},
    "logs": {"identities": "named"},
}
CHAT = {"model": "scalesim", "messages": [{"role": "user", "content": "hi"}]}


class Running:
    """An ingress that runs, and who asks it."""

    def __init__(self, client: httpx.AsyncClient, replicas: MadeUpReplicas) -> None:
        self.client, self.replicas = client, replicas

    async def chat(self, **more: Any) -> httpx.Response:
        headers = {"X-Agent-Id": "bob", "X-Request-Id": "mine"}
        return await self.client.post("/v1/chat/completions", json=CHAT | more, headers=headers)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    replicas = MadeUpReplicas()
    async with bare_ingress(StackSettings.model_validate(SETTINGS), replicas) as client:
        yield Running(client, replicas)


async def test_answers_are_counted_and_leave_no_line(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ray.serve"):
        whole, stream = await running.chat(), await running.chat(stream=True)
    assert (whole.status_code, stream.status_code) == (200, 200)
    assert whole.headers["x-scalesim-replica"] == "r1"
    shown = (await running.client.get("/metrics")).text
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
