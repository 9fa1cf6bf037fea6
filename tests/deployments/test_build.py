"""What the application asks Ray for: decided by the cluster, not by the process that builds it."""

from typing import Any

import pytest

from scalesim.deployments import nodes
from scalesim.deployments.nodes import Node
from scalesim.deployments.stack import build_app
from scalesim.settings import StackSettings


def built(cluster: list[Node], patch: pytest.MonkeyPatch, **engine: Any) -> tuple[Any, Any]:
    """Return the options of the replicas' actors and the settings they are given."""
    patch.setattr(nodes, "nodes", lambda: cluster)
    settings = StackSettings.model_validate({"engine": {"model_path": "m", **engine}})
    ingress = build_app(settings)._bound_deployment
    replicas = ingress.init_args[1]._bound_deployment
    return replicas.ray_actor_options, replicas.init_args[0].engine


def test_a_driver_without_gpus_builds_engines_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = [Node("head", 0, 8), Node("worker", 8, 64)]
    options, engine = built(cluster, monkeypatch)
    assert (options["num_gpus"], engine.device) == (1, "cuda")
    assert engine.dtype == "auto"  # decided where the engine runs
    options, _ = built(cluster, monkeypatch, tp_size=4)
    assert options["num_gpus"] == 4
    options, engine = built(cluster, monkeypatch, device="cpu")
    assert (options.get("num_gpus"), engine.device) == (None, "cpu")


def test_a_cluster_without_gpus_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    options, engine = built([Node("head", 0, 8)], monkeypatch)
    assert (options.get("num_gpus"), engine.device) == (None, "cpu")


def test_all_processes_of_the_ingress_share_what_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "nodes", lambda: [Node("a", 0, 8), Node("b", 0, 8)])
    for queued, share in ((100, 50), (101, 51), (-1, -1)):
        settings = StackSettings.model_validate(
            {"engine": {"model_path": "m"}, "ingress": {"max_queued_requests": queued}}
        )
        ingress = build_app(settings)._bound_deployment
        assert ingress._deployment_config.num_replicas == 2
        assert ingress.init_args[0].ingress.processes == 2
        replicas = ingress.init_args[1]._bound_deployment._deployment_config
        assert replicas.max_queued_requests == share
        assert replicas.request_router_config.request_router_kwargs == {"processes": 2}
