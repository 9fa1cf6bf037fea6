"""Whose a Ray cluster is: a simulation's, or a stack's that it only asks; Ray is a stand-in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import serve

from scalesim.controller import actor
from scalesim.deployments import cluster
from scalesim.deployments.stack import APP, DEPLOYED_APP
from scalesim.errors import ConfigurationError
from scalesim.simulations.job import cluster_of_job


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was done to the cluster, in order."""
    found: list[Any] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", lambda address, **_: found.append(address))
    monkeypatch.setattr(ray, "kill", found.append)
    monkeypatch.setattr(cluster, "hold", lambda _: found.append("held") or "holder")
    monkeypatch.setattr(serve, "shutdown", lambda: found.append("Serve ended"))
    monkeypatch.setattr(actor, "stop", lambda _: found.append("controller ended"))
    return found


def _serves(monkeypatch: pytest.MonkeyPatch, *applications: str) -> None:
    status = SimpleNamespace(applications=dict.fromkeys(applications))
    monkeypatch.setattr(serve, "status", lambda: status)


def test_without_a_cluster_nothing_is_done(done: list[Any]) -> None:
    with cluster_of_job():
        pass
    assert done == []


def test_what_a_dead_one_left_is_removed(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _serves(monkeypatch, APP)
    with cluster_of_job("head:1"):
        assert done == ["head:1", "held", "Serve ended", "controller ended"]
    assert done[-1] == "holder"


def test_a_stack_that_lives_is_not(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def held(_: str) -> None:
        raise ConfigurationError("it has a stack")

    _serves(monkeypatch, APP)
    monkeypatch.setattr(cluster, "hold", held)
    with pytest.raises(ConfigurationError), cluster_of_job("head:1"):
        pass
    assert done == ["head:1"]


def test_a_deployed_one_is_not(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _serves(monkeypatch, DEPLOYED_APP)
    with pytest.raises(ConfigurationError, match=DEPLOYED_APP), cluster_of_job("head:1"):
        pass
    assert done == ["head:1", "held", "holder"]


def test_it_is_given_back_by_a_simulation_that_failed(
    done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _serves(monkeypatch)
    with pytest.raises(ZeroDivisionError), cluster_of_job("head:1"):
        raise ZeroDivisionError
    assert done[-1] == "holder"


def test_one_that_is_only_asked_is_left_as_it_is(
    done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:1")
    with cluster_of_job(alone=False):
        pass
    assert done == ["head:1"]
