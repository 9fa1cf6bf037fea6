"""A Ray cluster has one stack, whoever started it; Serve and Ray are stand-ins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import serve

from scalesim.controller import actor
from scalesim.deployments import cluster, nodes
from scalesim.deployments.stack import APP, DEPLOYED_APP, Stack, remove
from scalesim.errors import ConfigurationError
from scalesim.settings import ControllerSettings, EngineSettings, IngressSettings, StackSettings


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was ended, in order."""
    found: list[str] = []
    monkeypatch.setattr(serve, "delete", found.append)
    monkeypatch.setattr(serve, "shutdown", lambda: found.append("Serve"))
    monkeypatch.setattr(actor, "connect", lambda _: None)
    monkeypatch.setattr(actor, "stop", lambda _: found.append("controller"))
    return found


def _serves(monkeypatch: pytest.MonkeyPatch, *applications: str) -> None:
    status = SimpleNamespace(proxies={}, applications=dict.fromkeys(applications))
    monkeypatch.setattr(serve, "status", lambda: status)


@pytest.mark.parametrize("application", [APP, DEPLOYED_APP])
def test_a_second_stack_is_refused_and_the_first_keeps_its_controller(
    application: str, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _serves(monkeypatch, application)
    monkeypatch.setattr(cluster, "join", lambda *_: None)
    monkeypatch.setattr(cluster, "hold", lambda _: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append("connection"))
    monkeypatch.setattr(nodes, "nodes", list)
    monkeypatch.setattr(nodes, "check_gpus", lambda *_, **__: None)
    monkeypatch.setattr(actor, "start", lambda _: pytest.fail("it took the controller"))
    engine = EngineSettings(model_path="m", device="cpu")
    settings = StackSettings(engine=engine, ingress=IngressSettings(port=0))
    with pytest.raises(ConfigurationError, match="already"):
        Stack(settings, cluster="127.0.0.1:1").start()
    assert ended == ["connection"]


@pytest.mark.parametrize(
    ("applications", "expected"),
    [
        ([DEPLOYED_APP], [DEPLOYED_APP, "Serve", "controller"]),
        ([APP, "other"], [APP, "controller"]),
        (["other"], ["controller"]),
    ],
)
def test_down_ends_the_stack_that_serves_before_its_controller(
    applications: list[str], expected: list[Any], ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _serves(monkeypatch, *applications)
    assert remove(ControllerSettings())
    assert ended == expected
