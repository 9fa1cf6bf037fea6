"""Hints that come over HTTP, by their route or inside a request, as the ingress takes them."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from scalesim.deployments.api_keys import ApiKeys
from scalesim.deployments.carried_hints import CarriedHints
from scalesim.deployments.hint_routes import Reader
from scalesim.deployments.inference_routes import InferenceRoutes
from scalesim.deployments.ingress import Ingress
from scalesim.deployments.middleware import holder_of
from scalesim.deployments.model_names import ModelNames
from scalesim.errors import InvalidRequestError, PermissionDeniedError
from scalesim.identity import agent_key
from scalesim.settings import IngressSettings
from scalesim.vocabulary import ReportAck

KEYS = ApiKeys(
    IngressSettings.model_validate(
        {"api_key": "own", "api_keys": {"town": {"key": "t", "simulations": ["town"]}}}
    )
)
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


class NotingController:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, dict[int, float], str]] = []
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
        return ReportAck(epoch, len(pairs), 0)


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def request(body: dict[str, Any], key: str = "t", simulation: str = "town", **more: str) -> Request:
    content = msgspec.json.encode(body)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    given = {"authorization": f"Bearer {key}", **{k.replace("_", "-"): v for k, v in more.items()}}
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    made = Request({**scope, "path_params": {"simulation": simulation}}, receive)
    made.state.holder = KEYS.holder(made)
    return made


async def test_a_document_is_reported_with_whose_key_it_came(reader: Reader) -> None:
    controller = NotingController()
    ingress = SimpleNamespace(
        _settings=IngressSettings(), _reader=reader, _steering=lambda: controller
    )
    route = Ingress.func_or_class.hints  # type: ignore[attr-defined]
    answer = await route(ingress, request({"epoch": 4, "order": ["a", "b"], "pin": ["a"]}))
    assert msgspec.json.decode(answer.body) == {"epoch": 4, "accepted": 2, "ignored": 0}
    a, b = agent_key("town", "a"), agent_key("town", "b")
    assert controller.reports == [("town", 4, {a: 0.0, b: 0.5}, "town")]
    assert controller.pinned == [a]
    with pytest.raises(InvalidRequestError) as caught:
        await route(ingress, request({"epoch": 4, "wake": {"a": "soon"}}))
    assert caught.value.field == "wake.a"
    with pytest.raises(PermissionDeniedError):
        await route(ingress, request({"epoch": 4}, simulation="city"))
    assert len(controller.reports) == 1


def serving(reader: Reader, controller: NotingController) -> Any:
    carried = CarriedHints(controller, lambda: None)  # type: ignore[arg-type]
    names = ModelNames("scalesim", {"*": "scalesim"})
    parts = SimpleNamespace(names=names, reader=reader, hints=carried, max_body_bytes=2**20)
    return SimpleNamespace(_serving=parts)


async def test_a_request_may_bring_its_own(reader: Reader) -> None:
    controller = NotingController()
    routes = serving(reader, controller)
    action = {"action_id": "0", "action_version": "1"}
    who = {**action, "action_type": "scalesim.agent", "payload": {"agent": "ann", "next_use": 3}}
    knows = {**action, "action_type": "scalesim.hints", "payload": {"epoch": 2, "wake": {"b": 9}}}
    envelope: dict[str, Any] = {"protocol_version": "1", "message_id": "m", "actions": [who, knows]}
    asked = request({**ASKED, "kv_hints": envelope})
    identity, call = await InferenceRoutes._call(routes, asked, "chat")
    assert identity == ("town", "ann", 3, "")
    assert (call.key, call.next_use) == (agent_key("town", "ann"), 3)
    assert "kv_hints" not in call.body
    await asyncio.gather(*routes._serving.hints._under_way)
    assert controller.reports == [("town", 2, {agent_key("town", "b"): 7.0}, "town")]
    assert holder_of(asked).name == "town"
    for payload in ({"order": ["a"]}, {}):
        envelope["actions"][1] = {**knows, "payload": payload}
        with pytest.raises(InvalidRequestError) as caught:
            await InferenceRoutes._call(routes, request({**ASKED, "kv_hints": envelope}), "chat")
        assert caught.value.field == "kv_hints.actions.1.payload.epoch"
    assert len(controller.reports) == 1


async def test_an_adapter_joins_a_model_that_names_none(reader: Reader) -> None:
    routes = serving(reader, NotingController())
    for model, answers in (("", "scalesim:smith"), ("scalesim:baker", "scalesim:baker")):
        asked = request({**ASKED, "model": model or "gpt-4o"}, x_agent_adapter="smith")
        _, call = await InferenceRoutes._call(routes, asked, "chat")
        assert call.body["model"] == answers
