"""Hints that come over HTTP, by their route or inside a request, as the ingress takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from scalesim.identity import agent_key
from scalesim.settings import StackSettings
from tests.support.bare_ingress import MadeUpReplicas, NotingController, bare_ingress

SETTINGS = {
    "engine": {"model_path": "m"},
    "ingress": {
        "processes": 1,
        "api_key": "own",
        "api_keys": {"town": {"key": "t", "simulations": ["town"]}},
        "model_aliases": {"*": "scalesim"},
    },
}
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"


class TownOfClients:
    """An ingress with one town's key, and what comes behind it."""

    client: httpx.AsyncClient

    def __init__(self) -> None:
        self.controller, self.replicas = NotingController(), MadeUpReplicas()

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        shown = {"authorization": "Bearer t"}
        shown |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=body, headers=shown)


@pytest.fixture
async def town() -> AsyncIterator[TownOfClients]:
    town = TownOfClients()
    settings = StackSettings.model_validate(SETTINGS)
    async with bare_ingress(settings, town.replicas, town.controller) as town.client:
        yield town


def refused_field(answer: httpx.Response) -> str:
    assert answer.status_code == 400
    field: str = answer.json()["error"]["param"]
    return field


async def test_a_document_is_reported_with_whose_key_it_came(town: TownOfClients) -> None:
    hints = "/v1/simulations/town/hints"
    answer = await town.post(hints, {"epoch": 4, "order": ["a", "b"], "pin": ["a"]})
    assert answer.json() == {"epoch": 4, "accepted": 2, "ignored": 0}
    a, b = agent_key("town", "a"), agent_key("town", "b")
    assert town.controller.reports == [("town", 4, {a: 0.0, b: 0.5}, "town")]
    assert town.controller.pinned == [a]
    assert refused_field(await town.post(hints, {"epoch": 4, "wake": {"a": "soon"}})) == "wake.a"
    others = await town.post("/v1/simulations/city/hints", {"epoch": 4})
    assert others.status_code == 403
    assert len(town.controller.reports) == 1


async def test_a_request_may_bring_its_own(town: TownOfClients) -> None:
    action = {"action_id": "0", "action_version": "1"}
    who = {
        **action,
        "action_type": "scalesim.agent",
        "payload": {"agent": "ann", "next_use": 3, "step": 4},
    }
    knows = {**action, "action_type": "scalesim.hints", "payload": {"epoch": 2, "wake": {"b": 9}}}
    envelope: dict[str, Any] = {"protocol_version": "1", "message_id": "m", "actions": [who, knows]}
    assert (await town.post(CHAT, {**ASKED, "kv_hints": envelope})).status_code == 200
    (call,) = town.replicas.calls
    assert (call.key, call.next_use, call.step) == (agent_key("town", "ann"), 3, 4)
    assert "kv_hints" not in call.body
    await asyncio.wait_for(town.controller.reported.wait(), 30)
    assert town.controller.reports == [("town", 2, {agent_key("town", "b"): 7.0}, "town")]
    for payload in ({"order": ["a"]}, {}):
        envelope["actions"][1] = {**knows, "payload": payload}
        answer = await town.post(CHAT, {**ASKED, "kv_hints": envelope})
        assert refused_field(answer) == "kv_hints.actions.1.payload.epoch"
    assert len(town.controller.reports) == len(town.replicas.calls) == 1


async def test_an_adapter_joins_a_model_that_names_none(town: TownOfClients) -> None:
    for model in ("gpt-4o", "scalesim:baker"):
        await town.post(CHAT, {**ASKED, "model": model}, x_agent_adapter="smith")
    answers = [call.body["model"] for call in town.replicas.calls]
    assert answers == ["scalesim:smith", "scalesim:baker"]
