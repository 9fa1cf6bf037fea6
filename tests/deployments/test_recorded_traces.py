"""Traces of a live stack, whichever process of its ingress took a request."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack

import pytest

from tests.support.stack_client import TOWN_KEY, StackClient

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.asyncio(loop_scope="session")]


async def test_a_trace_is_recorded_while_it_happens(client: StackClient) -> None:
    async with client.http.stream("GET", "/v1/trace?simulation=default") as feed:
        lines = feed.aiter_lines()
        assert await anext(lines) == ""
        for stream in (False, True):
            await client.ask(103, tokens=5, stream=stream)
            event = json.loads(await anext(lines))
            assert (event["agent"], event["prompt_tokens"] > 256) == ("agent-103", True)
            assert event["output_tokens"] == 5


async def test_a_key_has_as_many_traces_as_requests_and_both(client: StackClient) -> None:
    processes = client.stack.settings.ingress.processes
    assert processes is not None
    town = StackClient(client.stack, TOWN_KEY)
    async with town.http, AsyncExitStack() as open_feeds:
        feeds = [
            await open_feeds.enter_async_context(town.http.stream("GET", "/v1/trace"))
            for _ in range(processes + 1)  # one in each process
        ]
        statuses = sorted(feed.status_code for feed in feeds)
        assert set(statuses) == {200, 429}
        refused = next(feed for feed in feeds if feed.status_code == 429)
        error = json.loads(await refused.aread())["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert (await town.ask(105, user="bob")).status_code == 200


async def test_a_trace_has_the_requests_of_every_process_of_the_ingress(
    client: StackClient,
) -> None:
    async def answered() -> dict[str, float]:
        text = (await client.http.get("/metrics")).text
        counts = dict.fromkeys(re.findall(r'ingress="(\w+)"', text), 0.0)
        pattern = r'^scalesim_requests_total\{.*ingress="(\w+)".*\} (\S+)$'
        for name, count in re.findall(pattern, text, re.MULTILINE):
            counts[name] += float(count)
        return counts

    async def has_answered(before: dict[str, float]) -> bool:
        now = await answered()
        return all(now[name] > count for name, count in before.items())

    async with client.http.stream("GET", "/v1/trace?simulation=both") as feed:
        lines = feed.aiter_lines()
        assert await anext(lines) == ""
        before, asked = await answered(), 0
        assert len(before) == client.stack.settings.ingress.processes
        while not await has_answered(before):
            one = StackClient(client.stack)  # on a connection of its own
            async with one.http:
                given = {"X-Simulation-Id": "both", "X-Agent-Id": f"number-{asked}"}
                body = {"model": "scalesim", "prompt": "w1", "max_tokens": 1}
                answer = await one.http.post("/v1/completions", json=body, headers=given)
                assert answer.status_code == 200
            asked += 1
        heard = {json.loads(await anext(lines))["agent"] for _ in range(asked)}
        assert heard == {f"number-{number}" for number in range(asked)}
