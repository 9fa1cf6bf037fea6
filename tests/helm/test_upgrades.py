"""What `helm upgrade` does to a running release, value by value, by the rules of KubeRay and Serve.

`python -m tests.helm.test_upgrades` writes the table into docs/operations/upgrades.md.
"""

from __future__ import annotations

import copy
from enum import StrEnum
from typing import Any

import pytest
from ray.serve._private.deploy_utils import get_app_code_version
from ray.serve.schema import ServeApplicationSchema

from tests.support.chart import ROOT, application, merged, pods, render, values_file

PAGE = ROOT / "docs" / "operations" / "upgrades.md"
_START, _END = "<!-- written by python -m tests.helm.test_upgrades -->\n", "<!-- end -->\n"


class Effect(StrEnum):
    """What an upgrade does, the greatest first."""

    NEW_CLUSTER = "new cluster"
    ENGINES = "engines restart"
    SCALES = "scales"
    WORKERS = "workers come or go"
    REDIS = "catalog restarts"
    NONE = "nothing restarts"


CHANGES: dict[str, tuple[dict[str, Any], Effect]] = {
    "stack.replicas": ({"stack": {"replicas": 3}}, Effect.SCALES),
    "stack.autoscaling": (
        {"stack": {"autoscaling": {"max_replicas": 4, "target_ongoing_requests": 32}}},
        Effect.SCALES,
    ),
    "stack.max_ongoing_requests": ({"stack": {"max_ongoing_requests": 64}}, Effect.SCALES),
    "workers.replicas": ({"workers": {"replicas": 3}}, Effect.WORKERS),
    "stack.engine.*": ({"stack": {"engine": {"page_size": 32}}}, Effect.ENGINES),
    "stack.controller.*": ({"stack": {"controller": {"tick_s": 0.5}}}, Effect.ENGINES),
    "stack.logs.*": ({"stack": {"logs": {"format": "json"}}}, Effect.ENGINES),
    "stack.ingress.*": ({"stack": {"ingress": {"max_body_bytes": 4096}}}, Effect.ENGINES),
    "redis.host, port, db, tls, username": ({"redis": {"db": 1}}, Effect.ENGINES),
    "stack.engines_per_machine, stack.metrics.*": (
        {"stack": {"engines_per_machine": 4}},
        Effect.NEW_CLUSTER,
    ),
    "image.*": ({"image": {"tag": "2"}}, Effect.NEW_CLUSTER),
    "workers.gpus, resources, env, pods' fields": (
        {"workers": {"resources": {"limits": {"memory": "600Gi"}}}},
        Effect.NEW_CLUSTER,
    ),
    "head.*": ({"head": {"podLabels": {"a": "b"}}}, Effect.NEW_CLUSTER),
    "volumes.*": ({"volumes": {"adapters": {"existingClaim": "a"}}}, Effect.NEW_CLUSTER),
    "apiKey.*": ({"apiKey": {"secretName": "others"}}, Effect.NEW_CLUSTER),
    "serve.port": ({"serve": {"port": 8001}}, Effect.NEW_CLUSTER),
    "ray.*": ({"ray": {"tokenSecretName": "t"}}, Effect.NEW_CLUSTER),
    "autoscaling.enabled": (
        {"autoscaling": {"enabled": True}},
        Effect.NEW_CLUSTER,
    ),
    "model.*, redis.tlsCaSecretName, apiKeys.*": (
        {"redis": {"host": "r", "tls": True, "tlsCaSecretName": "ca"}},
        Effect.NEW_CLUSTER,
    ),
    "redis.password.value": (
        {"redis": {"password": {"value": "new", "secretName": ""}}},
        Effect.REDIS,
    ),
    "redis.bundled.*": ({"redis": {"bundled": {"image": {"tag": "9"}}}}, Effect.REDIS),
    "networkPolicy.*, podDisruptionBudget.*, ingress.*": (
        {"networkPolicy": {"enabled": False}},
        Effect.NONE,
    ),
    "monitoring.rules, monitoring.grafanaDashboards": (
        {"monitoring": {"rules": {"labels": {"a": "b"}}}},
        Effect.NONE,
    ),
}

BASE = merged(
    values_file("values-gpu.yaml"),
    {"stack": {"replicas": 2}, "redis": {"password": {"value": "old", "secretName": ""}}},
)


def hashed(service: dict[str, Any]) -> dict[str, Any]:
    """Return what KubeRay compares of a cluster.

    `GenerateHashWithoutReplicasAndWorkersToDelete`, ray-operator/controllers/ray/utils/util.go.
    """
    spec: dict[str, Any] = copy.deepcopy(service["spec"]["rayClusterConfig"])
    for group in spec["workerGroupSpecs"]:
        for field in ("replicas", "minReplicas", "maxReplicas"):
            del group[field]
    return spec


def effect(before: dict[Any, Any], after: dict[Any, Any]) -> Effect:
    """Return what happens when one rendered release takes the place of another."""
    old, new = (each["RayService", "town-scalesim"] for each in (before, after))
    if hashed(old) != hashed(new):
        return Effect.NEW_CLUSTER
    apps = [ServeApplicationSchema(**application(each)) for each in (before, after)]
    if get_app_code_version(apps[0]) != get_app_code_version(apps[1]):
        return Effect.ENGINES
    if apps[0] != apps[1]:
        return Effect.SCALES
    if old != new:
        return Effect.WORKERS
    redis = ("StatefulSet", "town-scalesim-redis")
    return Effect.REDIS if before[redis] != after[redis] else Effect.NONE


@pytest.mark.parametrize("change", CHANGES)
def test_does_what_the_page_says(change: str) -> None:
    values, expected = CHANGES[change]
    assert effect(render(BASE), render(BASE, values)) is expected


@pytest.mark.parametrize("change", CHANGES)
def test_arguments_are_for_the_pods_they_come_with(change: str) -> None:
    """With strategy None pods stay as they are: then arguments that need others are refused."""
    objects = render(BASE, CHANGES[change][0])
    meant = application(objects)["args"]["pods"]
    for pod in pods(objects).values():
        env = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
        assert env["SCALESIM_PODS"] == meant
    before = render(BASE)
    if _containers(before) != _containers(objects):
        assert application(before)["args"]["pods"] != meant


def _containers(objects: dict[Any, Any]) -> list[dict[str, Any]]:
    found = [pod["spec"]["containers"][0] for pod in pods(objects).values()]
    for container in found:
        container["env"] = [each for each in container["env"] if each["name"] != "SCALESIM_PODS"]
    return found


def table() -> str:
    rows = [f"| `{name}` | {expected} |\n" for name, (_, expected) in CHANGES.items()]
    return "| value | what an upgrade does |\n|---|---|\n" + "".join(rows)


def test_the_page_has_the_table() -> None:
    assert _START + table() + _END in PAGE.read_text()


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(_START)
    PAGE.write_text(head + _START + table() + _END + rest.partition(_END)[2])
