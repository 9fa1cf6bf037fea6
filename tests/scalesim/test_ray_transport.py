"""The direct path, with an actor that stands in for the controller."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import ray
from ray.exceptions import RayActorError

from scalesim.errors import ControllerUnavailableError, StaleEpochError
from scalesim.identity import agent_key
from scalesim.settings import ClientSettings, ControllerSettings
from scalesim.transports import Report, connect
from scalesim.transports.ray import RayTransport
from scalesim.vocabulary import ReportAck

pytestmark = pytest.mark.ray

SETTINGS = ClientSettings(
    controller=ControllerSettings(name="fake-controller", namespace="client-tests")
)


class ReceivingController:
    """Keeps what it receives; refuses step 0."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    def report(
        self, simulation: str, epoch: int, keys: np.ndarray, distances: np.ndarray
    ) -> ReportAck:
        if epoch == 0:
            raise StaleEpochError("epoch 0 is older than 5", "epoch")
        self.received.append((simulation, keys.tolist(), distances.tolist()))
        return ReportAck(epoch, len(keys), 0)

    def lifecycle(
        self, simulation: str, pin: np.ndarray, unpin: np.ndarray, done: np.ndarray
    ) -> None:
        self.received.append((simulation, pin.tolist(), unpin.tolist(), done.tolist()))

    def end(self, simulation: str) -> None:
        self.received.append((simulation,))

    def status(self) -> dict[str, Any]:
        return {"simulations": {"town": {"epoch": 5}}, "received": self.received}


@pytest.fixture
def controller(ray_local: None) -> Iterator[Any]:
    named = {"name": SETTINGS.controller.name, "namespace": SETTINGS.controller.namespace}
    actor = ray.remote(num_cpus=0)(ReceivingController).options(**named).remote()
    ray.get(actor.__ray_ready__.remote())
    yield actor
    ray.kill(actor)


def test_inside_the_cluster_arrays_go_to_the_actor(controller: Any) -> None:
    transport = connect(SETTINGS)
    assert isinstance(transport, RayTransport)
    ack = transport.report("town", Report(6, ["a", "b"], np.array([0.5, np.inf], np.float32)))
    assert ack == (6, 2, 0)
    transport.lifecycle("town", ["a"], [], ["b"])
    a, b = (agent_key("town", agent) for agent in "ab")
    transport.end("town")
    received = ray.get(controller.status.remote())["received"]
    assert received == [("town", [a, b], [0.5, np.inf]), ("town", [a], [], [b]), ("town",)]


def test_errors_of_the_controller_are_ours_and_readable(controller: Any) -> None:
    transport = connect(SETTINGS)
    with pytest.raises(StaleEpochError) as error:
        transport.report("town", Report(0, ["a"], np.zeros(1, np.float32)))
    assert str(error.value) == "epoch 0 is older than 5"
    assert error.value.field == "epoch"
    assert transport.epoch("town") == 5
    assert transport.epoch("other") == 0


def test_a_dead_controller_is_retryable(controller: Any) -> None:
    transport = connect(SETTINGS)
    ray.kill(controller)
    with suppress(RayActorError):
        while True:  # a kill takes effect in its own time
            ray.get(controller.status.remote(), timeout=30)
    with pytest.raises(ControllerUnavailableError, match="restarts by itself"):
        transport.epoch("town")


def test_a_cluster_without_a_controller_is_passed_by(ray_local: None) -> None:
    assert RayTransport.find(SETTINGS) is None
