"""Agents are on all nodes where they reach the stack, and it asks them for a key there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from scalesim.deployments.middleware import check_binding
from scalesim.environment import API_KEY
from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings, StackSettings
from scalesim.simulations.agent_nodes import Ports, is_loopback, listening_for
from scalesim.simulations.driver.asked_model import MakeServedModel
from scalesim.simulations.run_command import ports_of
from scalesim.simulations.target import Target

PORTS = Ports(8000, 8081, 8082)
HERE, THERE = "10.0.0.5", "10.0.0.6"


@pytest.mark.parametrize("addresses", [set(), {HERE}])
def test_on_one_machine_it_stays_on_loopback(addresses: set[str]) -> None:
    ingress, metrics = listening_for(addresses, HERE, PORTS)
    assert is_loopback(f"http://{ingress.host}:1")
    assert is_loopback(f"http://{metrics.host}:1")
    assert not ingress.api_key.get_secret_value()
    assert (ingress.port, metrics.controller_port, metrics.replica_port) == PORTS


def test_on_several_it_listens_with_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY, raising=False)
    first, second = (listening_for({HERE, THERE}, HERE, Ports()).ingress for _ in range(2))
    assert first.host == HERE
    assert first.api_key != second.api_key
    check_binding(StackSettings(engine=EngineSettings(model_path="m"), ingress=first))
    assert not is_loopback(f"http://{first.host}:8080")
    target = Target(f"http://{first.host}:8080", "m", None, api_key=first.api_key)
    sent: list[str] = []

    class NotingClient(httpx.AsyncClient):
        def __init__(self, *, headers: dict[str, str], **more: Any) -> None:
            super().__init__(headers=headers, **more)
            sent.append(self.headers["Authorization"])

    monkeypatch.setattr(httpx, "AsyncClient", NotingClient)
    key = first.api_key.get_secret_value()
    MakeServedModel(target.base_url, "town", target.model_of, key)()
    assert sent == [f"Bearer {key}"]
    assert key not in repr(target)


def test_who_knows_the_environments_key_may_scrape_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, "key-of-the-release")
    ingress, metrics = listening_for({HERE, THERE}, HERE, PORTS)
    assert ingress.api_key.get_secret_value() == "key-of-the-release"
    check_binding(
        StackSettings(engine=EngineSettings(model_path="m"), ingress=ingress, metrics=metrics)
    )
    assert metrics.host == "0.0.0.0"
    assert (ingress.port, metrics.controller_port, metrics.replica_port) == PORTS


@pytest.mark.parametrize("text", ["8081", "8081,8082,8083", "a,b", ""])
def test_metrics_ports_are_two(text: str) -> None:
    with pytest.raises(ConfigurationError, match="8081,8082"):
        ports_of(0, text)
    assert ports_of(8000, "8081, 8082") == PORTS
    assert ports_of(1, None) == Ports(1)
