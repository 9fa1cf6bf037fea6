"""The HTTP path against a fake stack."""

from collections.abc import Iterator

import numpy as np
import pytest

from scalesim.errors import (
    AuthenticationError,
    ControllerUnavailableError,
    InvalidRequestError,
    ScaleSimError,
    StaleEpochError,
)
from scalesim.settings import ClientSettings
from scalesim.transports import Report, connect
from scalesim.transports.http import HttpTransport
from tests.support.fake_stack import FakeStack

REPORT = Report(4, ["a", "b"], np.array([0.5, np.inf], np.float32))


@pytest.fixture
def stack() -> Iterator[FakeStack]:
    with FakeStack() as fake:
        yield fake


@pytest.fixture
def transport(stack: FakeStack) -> Iterator[HttpTransport]:
    made = HttpTransport(ClientSettings(base_url=stack.base_url, api_key="secret"))
    yield made
    made.close()


def test_distances_travel_as_msgpack_with_infinity(
    stack: FakeStack, transport: HttpTransport
) -> None:
    ack = transport.report("town", REPORT)
    assert ack == (4, 2, 0)
    body = {"epoch": 4, "ids": ["a", "b"], "distances": [0.5, float("inf")]}
    assert stack.received == [("/v1/simulations/town/distances", body)]
    assert stack.headers[0]["Authorization"] == "Bearer secret"


def test_ids_out_of_an_array_travel_as_text(stack: FakeStack, transport: HttpTransport) -> None:
    transport.report("town", REPORT._replace(ids=list(np.array(["a", "b"]))))
    assert stack.received[0][1]["ids"] == ["a", "b"]


def test_changes_name_only_what_changed(stack: FakeStack, transport: HttpTransport) -> None:
    transport.lifecycle("town", ["a"], [], ["b"])
    assert stack.received == [("/v1/simulations/town/agents", {"pin": ["a"], "done": ["b"]})]


def test_an_end_is_a_deletion(stack: FakeStack, transport: HttpTransport) -> None:
    transport.end("town")
    assert stack.received == [("/v1/simulations/town", None)]


def test_epoch_of_a_known_and_an_unknown_simulation(
    stack: FakeStack, transport: HttpTransport
) -> None:
    stack.status = {"simulations": {"town": {"epoch": 9}}}
    assert transport.epoch("town") == 9
    assert transport.epoch("other") == 0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (409, StaleEpochError),
        (429, ControllerUnavailableError),
        (503, ControllerUnavailableError),
    ],
)
def test_statuses_are_distinguished(
    stack: FakeStack, transport: HttpTransport, status: int, error: type[ScaleSimError]
) -> None:
    stack.errors = [(status, "what happened")]
    with pytest.raises(error, match="what happened"):
        transport.report("town", REPORT)


def test_no_server_is_retryable_and_says_what_to_check(stack: FakeStack) -> None:
    with FakeStack() as gone:
        settings = ClientSettings(base_url=gone.base_url)
    transport = HttpTransport(settings)
    with pytest.raises(ControllerUnavailableError, match="check the base URL"):
        transport.report("town", REPORT)
    transport.close()


def test_outside_a_ray_cluster_http_is_used(stack: FakeStack) -> None:
    transport = connect(ClientSettings(base_url=stack.base_url))
    assert isinstance(transport, HttpTransport)
    transport.close()
