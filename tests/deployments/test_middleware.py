from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scalesim.deployments.api_keys import ApiKeys
from scalesim.deployments.middleware import (
    check_binding,
    cross_origin,
    guarded,
    no_route,
    read_body,
)
from scalesim.errors import (
    ConfigurationError,
    InvalidRequestError,
    ReplicaUnavailableError,
    ScaleSimError,
)
from scalesim.settings import IngressSettings, StackSettings


def request(body: bytes = b"", path: str = "/v1/models", **headers: str) -> Request:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)] or [b""]

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    return Request({"type": "http", "path": path, "headers": given, "method": "POST"}, receive)


OPEN = ApiKeys(IngressSettings())


def stack(ingress: dict[str, str], metrics: dict[str, str] | None = None) -> StackSettings:
    values = {"engine": {"model_path": "none"}, "ingress": ingress, "metrics": metrics or {}}
    return StackSettings.model_validate(values)


def test_a_network_address_needs_a_key() -> None:
    check_binding(stack({}))
    check_binding(stack({"host": "0.0.0.0", "api_key": "k"}, {"host": "0.0.0.0"}))
    with pytest.raises(ConfigurationError, match=r"ingress\.host .* ingress\.api_key"):
        check_binding(stack({"host": "0.0.0.0"}))
    with pytest.raises(ConfigurationError, match=r"metrics\.host .* ingress\.api_key"):
        check_binding(stack({}, {"host": "0.0.0.0"}))


async def test_json_and_msgpack_bodies_are_read() -> None:
    sent = {"epoch": 1}
    assert await read_body(request(json.dumps(sent).encode()), 100) == sent
    packed = request(msgspec.msgpack.encode(sent), content_type="application/msgpack")
    assert await read_body(packed, 100) == sent


DEEP = b'{"a":' + b"[" * 100_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"1", DEEP])
async def test_broken_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await read_body(request(body), 200_000)
    assert caught.value.field == "body"


@pytest.mark.parametrize("body", [{1: 2}, [1], "text"])
async def test_packed_bodies_need_names(body: object) -> None:
    packed = request(msgspec.msgpack.encode(body), content_type="application/msgpack")
    with pytest.raises(InvalidRequestError) as caught:
        await read_body(packed, 100)
    assert caught.value.field == "body"


async def test_a_large_body_is_not_read_to_its_end() -> None:
    large = request(b"x" * 10_000)
    with pytest.raises(InvalidRequestError) as caught:
        await read_body(large, 2_000)
    assert (caught.value.status, caught.value.field) == (413, "body")


async def test_errors_are_answered_in_openai_shape() -> None:
    refused: list[ScaleSimError] = []

    async def handler(_: Request) -> Response:
        raise InvalidRequestError("ids is not a list", "ids")

    answer = await guarded(handler, OPEN, lambda _, error: refused.append(error))(request())
    assert answer.status_code == 400
    assert json.loads(bytes(answer.body)) == {
        "type": "error",
        "error": {
            "message": "ids is not a list",
            "type": "invalid_request_error",
            "param": "ids",
            "code": "invalid_request",
        },
    }
    assert len(refused) == 1


async def test_faults_of_our_own_have_the_shape_and_tell_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused: list[ScaleSimError] = []

    async def handler(_: Request) -> Response:
        raise ZeroDivisionError("secret")

    answer = await guarded(handler, OPEN, lambda _, error: refused.append(error))(request())
    error = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, error["code"]) == (500, "internal_error")
    assert "secret" not in error["message"]
    assert "secret" in caplog.text
    assert len(refused) == 1


async def test_what_is_open_is_not_for_a_client_to_say() -> None:
    """`Request.url` is made of the Host header too; a query that is not text has none."""
    keys = ApiKeys(IngressSettings.model_validate({"api_key": "k"}))

    async def handler(_: Request) -> Response:
        return Response()

    asked = request(host="x/health?")
    asked.scope["query_string"] = b"\xff"
    answer = await guarded(handler, keys, lambda *_: None)(asked)
    assert answer.status_code == 401


async def test_what_may_work_later_says_when() -> None:
    async def handler(_: Request) -> Response:
        raise ReplicaUnavailableError("busy")

    answer = await guarded(handler, OPEN, lambda *_: None)(request())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/chat/completions", 404), ("GET", f"/{'x' * 999}", 404), ("PUT", "/health", 405)],
)
async def test_what_there_is_no_route_for_is_said_in_openais_shape(
    method: str, path: str, status: int
) -> None:
    routes = [Route("/health", lambda _: Response())]
    app = Starlette(routes=routes, exception_handlers={HTTPException: no_route})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, "unknown_url")
    assert error["message"].startswith(f"{method} {path[:80]} is not served here")


@pytest.mark.parametrize(("given", "taken"), [("town-7/3", True), ("", False), ("x" * 257, False)])
async def test_requests_have_names(given: str, taken: bool) -> None:
    async def handler(_: Request) -> Response:
        return Response()

    answer = await guarded(handler, OPEN, lambda *_: None)(request(x_request_id=given))
    name = answer.headers["x-request-id"]
    assert name
    assert (name == given) == taken
    assert answer.headers["request-id"] == name


def app(*origins: str) -> Starlette:
    return Starlette(
        routes=[Route("/v1/models", lambda _: Response("body"), methods=["GET"])],
        middleware=cross_origin(origins),
        exception_handlers={HTTPException: no_route},
    )


async def test_what_a_route_takes_can_be_asked() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://x") as http:
        answer = await http.options("/v1/models")
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert (await http.head("/v1/models")).status_code == 200
        assert (await http.options("/other")).status_code == 404


async def test_pages_of_the_origins_named_may_call() -> None:
    asked = {"Origin": "https://town.example", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization, x-agent-id"
    for origins, status in ((("https://town.example",), 200), (("https://other",), 400)):
        transport = httpx.ASGITransport(app(*origins))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            assert (await http.options("/v1/models", headers=asked)).status_code == status
            answer = await http.get("/v1/models", headers=asked)
            assert (answer.headers.get("access-control-allow-origin") is not None) == (
                status == 200
            )
