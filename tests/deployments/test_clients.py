"""Libraries that people have, their own types as the judge; and keys for some simulations only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from scalesim.deployments.stack import Stack
from tests.clients import anthropic_checks, checks, openai_checks
from tests.clients import client_stack as setup

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def base_url(crowded_stack: Stack) -> str:
    return crowded_stack.base_url


def checked(check: checks.ClientCheck, client: Any) -> None:
    with client:  # or its connections are found unclosed, in whatever test runs by then
        check(client)


@pytest.mark.parametrize("check", openai_checks.CHECKS, ids=lambda check: check.__name__)
async def test_openai(base_url: str, check: checks.ClientCheck) -> None:
    await asyncio.to_thread(checked, check, openai_checks.connect(base_url, setup.KEY))


@pytest.mark.parametrize("check", anthropic_checks.CHECKS, ids=lambda check: check.__name__)
async def test_anthropic(base_url: str, check: checks.ClientCheck) -> None:
    await asyncio.to_thread(checked, check, anthropic_checks.connect(base_url, setup.KEY))


def client(base_url: str, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60)


@pytest_asyncio.fixture(loop_scope="session")
async def operator(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base_url, setup.KEY) as http:
        yield http


@pytest_asyncio.fixture(loop_scope="session")
async def town(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base_url, setup.TOWN_KEY) as http:
        yield http


ASKED = {"messages": [{"role": "user", "content": "w1 w2"}], "max_tokens": 2}


async def test_tokens_are_those_of_the_model(operator: httpx.AsyncClient) -> None:
    answer = (await operator.post("/tokenize", json={"prompt": "w1 w2"})).json()
    assert (answer["tokens"], answer["count"]) == ([4, 5], 2)
    several = (await operator.post("/tokenize", json={"prompt": ["w1", "w2 w3"]})).json()
    assert several["count"] == [1, 2]
    chat = (await operator.post("/tokenize", json={"messages": ASKED["messages"]})).json()
    usage = (await operator.post("/v1/chat/completions", json=ASKED)).json()["usage"]
    assert chat["count"] == usage["prompt_tokens"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/simulations/city/distances"),
        ("POST", "/v1/simulations/city/hints"),
        ("POST", "/v1/simulations/city/agents"),
        ("DELETE", "/v1/simulations/city"),
        ("GET", "/v1/simulations/city/agents/bob"),
        ("GET", "/v1/trace?simulation=city"),
        ("GET", "/metrics"),
    ],
)
async def test_a_key_cannot_see_or_name_what_is_another_s(
    town: httpx.AsyncClient, operator: httpx.AsyncClient, method: str, path: str
) -> None:
    body = {"epoch": 1, "ids": ["bob"], "distances": [1]}
    reported = await operator.post("/v1/simulations/city/distances", json=body)
    assert reported.status_code == 200
    answer = await town.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert "city" not in (await town.get("/v1/status")).json()["simulations"]


async def test_requests_are_for_simulations_of_the_key(town: httpx.AsyncClient) -> None:
    for simulation, status in (("town-7", 200), ("city", 403), ("default", 403)):
        given = {"X-Simulation-Id": simulation}
        answer = await town.post("/v1/chat/completions", json=ASKED, headers=given)
        assert answer.status_code == status
    assert (await town.post("/v1/chat/completions", json=ASKED)).status_code == 200


async def test_agents_of_a_key_are_bounded(town: httpx.AsyncClient) -> None:
    body = {"epoch": 1, "ids": list("abcd"), "distances": [1, 2, 3, 4]}
    answer = await town.post("/v1/simulations/town/distances", json=body)
    assert (answer.json()["accepted"], answer.json()["ignored"]) == (3, 1)


async def test_hints_come_in_a_document_or_inside_a_request(operator: httpx.AsyncClient) -> None:
    where = "/v1/simulations/inn"
    document = {"epoch": 1, "order": ["ann", "bob"], "pin": ["ann"]}
    taken = await operator.post(f"{where}/hints", json=document)
    assert taken.json() == {"epoch": 1, "accepted": 2, "ignored": 0}
    bob = (await operator.get(f"{where}/agents/bob")).json()
    assert bob["distance"] == 0.5
    refused = await operator.post(f"{where}/hints", json={**document, "wake": {"ann": "soon"}})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "wake.ann")

    def action(kind: str, payload: dict[str, object]) -> dict[str, object]:
        return {"action_id": "0", "action_type": kind, "action_version": "1", "payload": payload}

    actions = [
        action("scalesim.agent", {"agent": "eve", "simulation": "inn", "next_use": 4}),
        action("scalesim.hints", {"epoch": 2, "wake": {"bob": 9}}),
    ]
    envelope = {"protocol_version": "1", "message_id": "m", "actions": actions}
    # Longer than a page of the cache: who leaves nothing there may come and go unseen.
    prompt = {"role": "user", "content": " ".join(f"w{i}" for i in range(40))}
    asked = {**ASKED, "messages": [prompt], "kv_hints": envelope}
    answer = await operator.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(10):
        while (await operator.get(f"{where}/agents/bob")).json()["distance"] != 7:
            await asyncio.sleep(0.05)
        while (await operator.get(f"{where}/agents/eve")).status_code != 200:
            await asyncio.sleep(0.05)


async def test_an_adapter_is_named_by_header(operator: httpx.AsyncClient) -> None:
    given = {"X-Agent-Adapter": "farmer"}
    answer = await operator.post("/v1/chat/completions", json=ASKED, headers=given)
    assert answer.status_code in (400, 404)  # this stack has none
    assert "farmer" in answer.json()["error"]["message"]


async def test_requests_of_a_key_are_bounded(
    town: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    long = {**ASKED, "max_tokens": 400, "ignore_eos": True, "stream": True}
    async with (
        town.stream("POST", "/v1/chat/completions", json=long) as first,
        town.stream("POST", "/v1/chat/completions", json=long) as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        third = await town.post("/v1/chat/completions", json=ASKED)
        assert (third.status_code, third.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert third.headers["retry-after"] == "1"
        assert (await operator.post("/v1/chat/completions", json=ASKED)).status_code == 200

    async def answered() -> bool:
        return (await town.post("/v1/chat/completions", json=ASKED)).status_code == 200

    async with asyncio.timeout(30):
        while not await answered():
            await asyncio.sleep(0.05)


async def test_pages_of_an_origin_may_call(base_url: str) -> None:
    asked = {"Origin": "https://town.example", "Access-Control-Request-Method": "POST"}
    async with httpx.AsyncClient(base_url=base_url) as http:
        answer = await http.options("/v1/chat/completions", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://town.example"
        assert (await http.options("/v1/chat/completions")).headers["allow"] == "OPTIONS, POST"
