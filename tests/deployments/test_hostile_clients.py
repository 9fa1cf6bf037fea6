"""What clients of every kind send to one real stack: served or refused by name, and nobody harmed.

Beside each test the requests of other tenants go on; they are answered as they are alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import openai
import psutil
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalesim.deployments.calls import Endpoint
from scalesim.deployments.ingress import ROUTES
from scalesim.deployments.requests import REQUESTS
from scalesim.deployments.stack import Stack
from scalesim.settings import StackSettings
from tests.support.hostile_bodies import BODY, bodies
from tests.support.only_stack import OnlyStack
from tests.support.stack_client import KEY, StackClient, words

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.asyncio(loop_scope="session")]

WHERE: dict[str, str] = {name: path for _, path, name in ROUTES}
CHAT = {"messages": [{"role": "user", "content": "w1"}], "max_tokens": 2}
SLOW = {"name": "slow", "schema": {"type": "string", "pattern": "(a+)+"}}
SCHEMA = {"type": "json_schema"}
TENANTS = range(3)


def tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


@pytest_asyncio.fixture(loop_scope="session")
async def client(crowded_stack: Stack) -> AsyncIterator[StackClient]:
    client = StackClient(crowded_stack)
    yield client
    await client.http.aclose()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def alone(only_stack: OnlyStack, crowded: StackSettings) -> list[dict[str, Any]]:
    """What other tenants are answered while nobody else asks."""
    client = StackClient(only_stack.running(crowded))
    async with client.http:
        return [await neighbour(client, tenant) for tenant in TENANTS]


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def nobody_is_harmed(client: StackClient, alone: list[dict[str, Any]]) -> AsyncIterator[None]:
    before, ending = engines(), asyncio.Event()
    assert before

    async def go_on(tenant: int) -> None:
        while not ending.is_set():
            assert await neighbour(client, tenant) == alone[tenant]

    going_on = [asyncio.ensure_future(go_on(tenant)) for tenant in TENANTS]
    yield
    ending.set()
    await asyncio.gather(*going_on)
    assert engines() == before


async def neighbour(client: StackClient, tenant: int) -> dict[str, Any]:
    """Return the answer to one tenant's request, always the same."""
    endpoint: Endpoint = "chat" if tenant % 2 else "completions"
    text = words(tenant, 24)
    asked = {"messages": [{"role": "user", "content": text}]} if tenant % 2 else {"prompt": text}
    body = {**asked, "max_tokens": 6, "temperature": 0, "ignore_eos": True}
    named = {"X-Simulation-Id": f"town-{tenant}", "X-Agent-Id": "mayor"}
    answer = await client.http.post(WHERE[endpoint], json=body, headers=named)
    assert answer.status_code == 200, answer.text
    choice = dict(answer.json()["choices"][0])
    assert choice["finish_reason"] == "length"
    return choice


def engines() -> list[tuple[int, float]]:
    """Return who runs the engines: one that died would have another in its place."""
    below = psutil.Process().children(recursive=True)
    return sorted((p.pid, p.create_time()) for p in below if "sglang::" in " ".join(p.cmdline()))


@pytest.mark.parametrize(
    ("endpoint", "body", "field"),
    [
        ("completions", {"prompt": " "}, "prompt"),
        ("completions", {"prompt": ["", "w1"]}, "prompt"),
        ("completions", {"prompt": ""}, "prompt"),
        ("completions", {"prompt": [5, 151_645]}, "prompt"),
        ("completions", {"prompt": [[5], [2**63]]}, "prompt"),
        ("completions", {"prompt": words(1, 980), "max_tokens": 30}, "max_tokens"),
        ("completions", {"prompt": words(1, 100), "max_tokens": 2000}, "max_tokens"),
        ("completions", {"logit_bias": {"151645": 1.0}}, "logit_bias"),
        ("completions", {"logit_bias": {"5": 1e300}}, "logit_bias.5"),
        ("completions", {"stop_token_ids": [151_645], "min_tokens": 1}, "stop_token_ids"),
        ("completions", {"min_tokens": 3}, "min_tokens"),
        ("completions", {"n": 20_000}, "n"),
        ("completions", {"n": 0}, "n"),
        ("completions", {"rid": "0", "stream": True}, "rid"),
        ("completions", {"rid": ["0", "f"]}, "rid"),
        ("completions", {"lora_path": "/etc"}, "lora_path"),
        ("chat", {"logprobs": True, "top_logprobs": 100_000}, "top_logprobs"),
        ("chat", {"logprobs": True, "top_logprobs": 2**63}, "top_logprobs"),
        ("chat", {"stop_regex": r"(\w+\s?)+#", "max_tokens": 12}, "stop_regex"),
        ("chat", {"stop_regex": "("}, "stop_regex"),
        ("chat", {"input_ids": [151_645]}, "input_ids"),
        ("chat", {"top_k": 2**31}, "top_k"),
        ("chat", {"chat_template_kwargs": {"tokenize": False}}, "chat_template_kwargs"),
        ("chat", {"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ("chat", {"messages": [{"role": "user", "content": words(1, 1500)}]}, "messages"),
        ("chat", {"response_format": {**SCHEMA, "json_schema": SLOW}}, "response_format"),
        ("chat", {"tool_choice": "required"}, "tool_choice"),
        ("chat", {"tools": [tool(type="nonsense")]}, "tools"),
        ("chat", {"tools": [tool()]}, None),
        ("chat", {"frequency_penalty": None, "n": None, "stream": None}, None),
        ("chat", dict.fromkeys(("logprobs", "model", "parallel_tool_calls", "temperature")), None),
        ("chat", {"user": ""}, None),
        ("chat", {"user": "x" * 300}, None),
        ("chat", {"user": "a\nb 👩‍👩‍👧"}, None),
        ("chat", {"stop": ""}, None),
        ("responses", {"input": words(1, 1500)}, "input"),
        ("responses", {"max_output_tokens": 2000}, "max_output_tokens"),
        ("responses", {"text": {"format": {**SCHEMA, **SLOW}}}, "text"),
        ("responses", {"rid": "0"}, "rid"),
        ("responses", {"request_id": "0"}, "request_id"),
        ("responses", {"priority": 9}, "priority"),
        ("responses", {"input": [{"role": "user", "content": "w1"}] * 3}, None),
        ("messages", {"messages": [{"role": "user", "content": words(1, 1500)}]}, "messages"),
        ("messages", {"max_tokens": 2000}, "max_tokens"),
        (
            "messages",
            {"output_config": {"format": {**SCHEMA, "schema": SLOW["schema"]}}},
            "output_config",
        ),
        ("messages", {"bootstrap_room": 1}, "bootstrap_room"),
        ("messages", {"system": "w2", "top_k": 2**20}, None),
    ],
)
@pytest.mark.parametrize("stream", [None, True])
async def test_a_request_is_served_or_refused_by_name(
    client: StackClient,
    endpoint: Endpoint,
    body: dict[str, Any],
    field: str | None,
    stream: bool | None,
) -> None:
    usual = BODY[endpoint]
    asked = {**usual, **body, "stream": stream}
    answer = await client.http.post(WHERE[endpoint], content=encoded(asked), headers=JSON)
    if field is None:
        assert answer.status_code == 200, answer.text
        return
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"  # before a stream begins
    error = answer.json()["error"]
    assert error["param"] == field
    assert "--" not in error["message"]


JSON = {"Content-Type": "application/json"}


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, default=str).encode()


@pytest.mark.parametrize("endpoint", REQUESTS)
@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
async def test_whatever_a_field_is_no_request_fails(
    client: StackClient, endpoint: Endpoint, data: Any
) -> None:
    body = data.draw(bodies(endpoint))
    length = "max_output_tokens" if endpoint == "responses" else "max_tokens"
    if length in BODY[endpoint] and body.get(length) is None:
        body[length] = 2  # not the whole context, many times
    try:
        packed, kind = msgspec.msgpack.encode(body), "application/msgpack"
    except OverflowError:
        packed, kind = encoded(body), "application/json"
    answer = await client.http.post(WHERE[endpoint], content=packed, headers={"Content-Type": kind})
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code == 200:
        assert not re.search(r'"error": ?\{', answer.text)
    else:
        assert answer.json()["error"]["param"]


@pytest.mark.parametrize("stream", [False, True])
async def test_prompts_that_fill_the_pool_wait_for_each_other_and_are_served_whole(
    client: StackClient, crowded: StackSettings, stream: bool
) -> None:
    pool = crowded.engine.device_tokens
    assert pool is not None
    models = (await client.http.get("/v1/models")).json()["data"]
    fits = models[0]["context_length"]
    assert pool - 64 < fits < pool

    async def ask(number: int) -> str:
        body = {"prompt": words(number, 600), "max_tokens": 24, "ignore_eos": True}
        streamed = {"stream": stream, "stream_options": {"include_usage": True} if stream else None}
        answer = await client.http.post(WHERE["completions"], json={**body, **streamed})
        assert answer.status_code == 200
        return answer.text

    for text in await asyncio.gather(*map(ask, range(4))):
        assert '"completion_tokens":24' in text
        assert '"finish_reason":"length"' in text
    asked = {"prompt": words(1, fits - 20), "max_tokens": 21, "stream": stream}
    answer = await client.http.post(WHERE["completions"], json=asked)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "use at most 20" in error["message"]
    assert str(fits) in error["message"]


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("good", True),
        *((name, False) for name in ("text", "dora", "slow", "many", "lies", "cut", "none")),
    ],
)
async def test_an_adapter_is_served_or_refused(
    client: StackClient, name: str, served: bool
) -> None:
    asked = {**CHAT, "model": f"scalesim:{name}", "temperature": 0}
    answer = await client.http.post(WHERE["chat"], json=asked)
    if served:
        assert answer.status_code == 200
        return
    assert answer.status_code in (400, 404)
    assert name in answer.json()["error"]["message"]


async def test_a_client_that_leaves_ends_its_own_request_only(client: StackClient) -> None:
    names = [f"agent-{number}" for number in (1, 10, 11, 100)]
    body = {"prompt": "w1 w2", "max_tokens": 200, "ignore_eos": True, "temperature": 0}

    async def ask(name: str) -> httpx.Response:
        named = {"X-Agent-Id": name}
        return await client.http.post(WHERE["completions"], json=body, headers=named)

    async with client.http.stream(
        "POST",
        WHERE["completions"],
        json={**body, "stream": True},
        headers={"X-Agent-Id": "agent-1"},
    ) as leaving:
        await anext(leaving.aiter_lines())
        staying = [asyncio.ensure_future(ask(name)) for name in names]
    for answer in await asyncio.gather(*staying):
        assert answer.json()["usage"]["completion_tokens"] == 200


async def test_openais_own_client_says_what_it_likes(client: StackClient) -> None:
    given = {"max_retries": 0, "api_key": KEY}
    async with openai.AsyncOpenAI(base_url=f"{client.stack.base_url}/v1", **given) as asked:  # type: ignore[arg-type]
        nulls: dict[str, Any] = dict.fromkeys(
            ("frequency_penalty", "n", "logit_bias", "seed", "stop", "tools", "user", "top_p")
        )
        messages: Any = CHAT["messages"]
        answer = await asked.chat.completions.create(
            model="scalesim", messages=messages, max_tokens=3, **nulls
        )
        assert answer.choices[0].finish_reason in ("length", "stop")
        stream = await asked.chat.completions.create(
            model="scalesim", messages=messages, max_completion_tokens=3, stream=True
        )
        assert [piece async for piece in stream]
        with pytest.raises(openai.BadRequestError) as refused:
            await asked.completions.create(model="scalesim", prompt="", max_tokens=3)
        assert refused.value.param == "prompt"
        with pytest.raises(openai.NotFoundError):
            await asked.chat.completions.create(model="gpt-7", messages=messages)
