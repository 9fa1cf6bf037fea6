"""The line of a request that was refused or failed, as Ray's formatters write it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from ray._common.formatters import JSONFormatter
from ray.serve.schema import LoggingConfig
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scalesim.deployments.api_keys import ApiKeys
from scalesim.deployments.middleware import guarded
from scalesim.deployments.request_identity import RequestIdentity
from scalesim.deployments.request_log import RequestLog, digest
from scalesim.errors import InvalidRequestError, ReplicaUnavailableError, ScaleSimError
from scalesim.settings import IngressSettings, LogSettings

PATH = "/v1/simulations/{simulation}/agents/{agent:path}"
ASKED = "/v1/simulations/town/agents/vil%22lager"


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    logger, handler = logging.getLogger("ray.serve"), Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.found
    logger.removeHandler(handler)
    logger.setLevel(before)


async def ask(error: ScaleSimError, who: RequestIdentity | None = None, **settings: str) -> str:
    """Return the answer's name of a request that ends with an error."""
    log = RequestLog(LogSettings.model_validate(settings))

    async def fails(request: Request) -> Response:
        if who is not None:
            request.state.who = who
        raise error

    def refused(request: Request, fault: ScaleSimError) -> None:
        log.failed(request, PATH, fault.status, fault.code)

    route = Route(PATH, guarded(fails, ApiKeys(IngressSettings()), refused))
    transport = httpx.ASGITransport(Starlette(routes=[route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://stack") as client:
        return str((await client.get(ASKED)).headers["x-request-id"])


async def test_one_line_with_the_name_that_the_client_was_given(lines: list[Any]) -> None:
    name = await ask(InvalidRequestError("no such agent 'vil\"lager'", "agent"))
    (line,) = lines
    assert (line["x_request_id"], line["status"]) == (name, 400)
    assert (line["code"], line["levelname"]) == ("invalid_request", "INFO")
    assert (line["simulation"], line["agent"]) == (digest("town"), digest("town", 'vil"lager'))
    assert line["path"] == PATH
    assert "\n" not in line["message"]
    assert f'x_request_id="{name}"' in line["message"]
    assert "lager" not in json.dumps(line)


async def test_what_is_the_stacks_fault_is_a_warning(lines: list[Any]) -> None:
    await ask(ReplicaUnavailableError("all away"))
    assert [(line["levelname"], line["status"]) for line in lines] == [("WARNING", 503)]


async def test_identities_are_named_or_left_out_on_request(lines: list[Any]) -> None:
    who = RequestIdentity("city", "b", None)
    for identities in ("named", "none"):
        await ask(InvalidRequestError("x"), who, identities=identities)
    named, without = lines
    assert (named["simulation"], named["agent"]) == ("city", "b")
    assert not {"simulation", "agent"} & without.keys()


@pytest.mark.parametrize("kind", ["text", "json"])
def test_serve_takes_the_format(kind: str) -> None:
    encoding = LogSettings.model_validate({"format": kind}).format.upper()
    assert LoggingConfig(encoding=encoding).encoding == encoding
