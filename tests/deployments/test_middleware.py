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

from scalesim.deployments.middleware import (
    authenticate,
    check_binding,
    guarded,
    no_route,
    read_body,
)
from scalesim.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ReplicaUnavailableError,
    ScaleSimError,
)
from scalesim.settings import StackSettings


def request(body: bytes = b"", path: str = "/v1/models", **headers: str) -> Request:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)] or [b""]

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    return Request({"type": "http", "path": path, "headers": given, "method": "POST"}, receive)


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


@pytest.mark.parametrize("given", ["", "k", "Bearer wrong", "Basic k", "Bearer k\u00e9"])
def test_wrong_keys_are_refused(given: str) -> None:
    with pytest.raises(AuthenticationError):
        authenticate(request(authorization=given), "k")


def test_right_keys_and_probes_pass() -> None:
    authenticate(request(authorization="Bearer k"), "k")
    authenticate(request(authorization="bearer k"), "k")
    authenticate(request(path="/health"), "k")
    authenticate(request(), "")


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

    answer = await guarded(handler, "", refused.append)(request())
    assert answer.status_code == 400
    assert json.loads(bytes(answer.body)) == {
        "error": {
            "message": "ids is not a list",
            "type": "invalid_request_error",
            "param": "ids",
            "code": "invalid_request",
        }
    }
    assert len(refused) == 1


async def test_faults_of_our_own_have_the_shape_and_tell_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused: list[ScaleSimError] = []

    async def handler(_: Request) -> Response:
        raise ZeroDivisionError("secret")

    answer = await guarded(handler, "", refused.append)(request())
    error = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, error["code"]) == (500, "internal_error")
    assert "secret" not in error["message"]
    assert "secret" in caplog.text
    assert len(refused) == 1


async def test_what_may_work_later_says_when() -> None:
    async def handler(_: Request) -> Response:
        raise ReplicaUnavailableError("busy")

    answer = await guarded(handler, "", lambda _: None)(request())
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
