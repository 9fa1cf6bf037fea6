"""What `helm upgrade` does to a running release, value by value, by the rules of KubeRay and Serve.

`python -m tests.helm.test_upgrades` writes the table into docs/operations/upgrades.md.
"""

from __future__ import annotations

import copy
import re
from enum import StrEnum
from functools import cache
from typing import Any

import pytest
from ray.serve._private.deploy_utils import get_app_code_version
from ray.serve.schema import ServeApplicationSchema

from helm.generate import documented
from scalesim.settings import StackSettings
from tests.support.chart import CHART, application, merged, pods, render, values_file
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "operations" / "upgrades.md"
_START, _END = "<!-- written by python -m tests.helm.test_upgrades -->\n", "<!-- end -->\n"


class Effect(StrEnum):
    """What an upgrade does, the greatest first."""

    REFUSED = "refused by Kubernetes"
    NEW_CLUSTER = "new cluster"
    ENGINES = "engines restart"
    SCALES = "scales"
    REDIS = "catalog restarts"
    NEXT_CLUSTER = "the next cluster has it"
    NONE = "nothing restarts"


Changes = dict[str, tuple[dict[str, Any], Effect]]

_OF_A_SERVER = {"host": "r", "tls": True, "tlsCaSecretName": "ca"}
_TOLERATIONS: dict[str, Any] = {"tolerations": [{"operator": "Exists"}]}
_CLAIM = "storageClassName, accessModes"

CHANGES: Changes = {
    "stack.replicas": ({"stack": {"replicas": 3}}, Effect.SCALES),
    "stack.autoscaling": (
        {"stack": {"autoscaling": {"max_replicas": 4, "target_ongoing_requests": 32}}},
        Effect.SCALES,
    ),
    "stack.max_ongoing_requests": ({"stack": {"max_ongoing_requests": 64}}, Effect.SCALES),
    "workers.replicas": ({"workers": {"replicas": 3}}, Effect.NEXT_CLUSTER),
    "autoscaling.minReplicas, maxReplicas": (
        {"autoscaling": {"maxReplicas": 9}},
        Effect.NEXT_CLUSTER,
    ),
    "stack.engine.tp_size": ({"stack": {"engine": {"tp_size": 2}}}, Effect.NEW_CLUSTER),
    "stack.engine.*": ({"stack": {"engine": {"page_size": 32}}}, Effect.ENGINES),
    "stack.controller.*": ({"stack": {"controller": {"tick_s": 0.5}}}, Effect.ENGINES),
    "stack.logs.*": ({"stack": {"logs": {"format": "json"}}}, Effect.ENGINES),
    "stack.ingress.*": ({"stack": {"ingress": {"max_body_bytes": 4096}}}, Effect.ENGINES),
    "stack.cpus_per_replica": ({"stack": {"cpus_per_replica": 2}}, Effect.ENGINES),
    "stack.catalog.*": ({"stack": {"catalog": {"namespace": "n"}}}, Effect.ENGINES),
    "redis.host, port, db, tls, username": ({"redis": {"db": 1}}, Effect.ENGINES),
    "stack.engines_per_machine": ({"stack": {"engines_per_machine": 4}}, Effect.NEW_CLUSTER),
    "stack.metrics.*": ({"stack": {"metrics": {"controller_port": 9001}}}, Effect.NEW_CLUSTER),
    "monitoring.podMonitor.enabled": (
        {"monitoring": {"podMonitor": {"enabled": False}}},
        Effect.NEW_CLUSTER,
    ),
    "image.*": ({"image": {"tag": "2"}}, Effect.NEW_CLUSTER),
    "workers.*": (
        {"workers": {"resources": {"limits": {"memory": "600Gi"}}}},
        Effect.NEW_CLUSTER,
    ),
    "head.*": ({"head": {"podLabels": {"a": "b"}}}, Effect.NEW_CLUSTER),
    "head.tolerations": ({"head": _TOLERATIONS}, Effect.NEXT_CLUSTER),
    "workers.tolerations": ({"workers": _TOLERATIONS}, Effect.NEXT_CLUSTER),
    "platform": ({"platform": "openshift"}, Effect.NEW_CLUSTER),
    "podSecurityContext": ({"podSecurityContext": {"runAsUser": 2000}}, Effect.NEW_CLUSTER),
    "securityContext": ({"securityContext": {"privileged": False}}, Effect.NEW_CLUSTER),
    "serviceAccount.create, name": ({"serviceAccount": {"name": "own"}}, Effect.NEW_CLUSTER),
    "volumes.*": ({"volumes": {"adapters": {"existingClaim": "a"}}}, Effect.NEW_CLUSTER),
    "volumes.models.size, volumes.adapters.size": (
        {"volumes": {"adapters": {"size": "2Gi"}}},
        Effect.NONE,
    ),
    f"volumes.models.{_CLAIM}": (
        {"volumes": {"adapters": {"accessModes": ["ReadWriteOnce"]}}},
        Effect.REFUSED,
    ),
    f"volumes.adapters.{_CLAIM}": (
        {"volumes": {"adapters": {"storageClassName": "nfs"}}},
        Effect.REFUSED,
    ),
    "apiKey.*": ({"apiKey": {"secretName": "others"}}, Effect.NEW_CLUSTER),
    "apiKeys.*": (
        {
            "apiKeys": {"secretName": "keys"},
            "stack": {"ingress": {"api_keys": {"town": {"simulations": ["town"]}}}},
        },
        Effect.NEW_CLUSTER,
    ),
    "serve.port": ({"serve": {"port": 8001}}, Effect.NEW_CLUSTER),
    "serve.haproxy": ({"serve": {"haproxy": False}}, Effect.NEW_CLUSTER),
    "serve.serviceType, serviceAnnotations, upgradeStrategy": (
        {
            "serve": {"serviceType": "NodePort", "upgradeStrategy": "None"},
            "networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        },
        Effect.NONE,
    ),
    "ray.*": ({"ray": {"tokenSecretName": "t"}}, Effect.NEW_CLUSTER),
    "ray.checkOperator": ({"ray": {"checkOperator": False}}, Effect.NONE),
    "autoscaling.*": ({"autoscaling": {"idleTimeoutSeconds": 60}}, Effect.NEW_CLUSTER),
    "model.*": (
        {"model": {"source": "pvc://other/m"}, "stack": {"engine": {"model_path": ""}}},
        Effect.NEW_CLUSTER,
    ),
    "redis.tlsCaSecretName, tlsCaSecretKey": ({"redis": _OF_A_SERVER}, Effect.NEW_CLUSTER),
    "redis.password.value": (
        {"redis": {"password": {"value": "new", "secretName": ""}}},
        Effect.REDIS,
    ),
    "redis.password.secretName, secretKey": (
        {"redis": {"password": {"value": "", "secretName": "other"}}},
        Effect.NEW_CLUSTER,
    ),
    "redis.bundled.*": ({"redis": {"bundled": {"image": {"tag": "9"}}}}, Effect.REDIS),
    "redis.bundled.persistence.*": (
        {"redis": {"bundled": {"persistence": {"size": "9Gi"}}}},
        Effect.REFUSED,
    ),
    "networkPolicy.*": ({"networkPolicy": {"enabled": False}}, Effect.NONE),
    "podDisruptionBudget.*": ({"podDisruptionBudget": {"enabled": False}}, Effect.NONE),
    "ingress.*": (
        {
            "ingress": {"enabled": True, "host": "h"},
            "networkPolicy": {"clients": [{"podSelector": {}}]},
        },
        Effect.NONE,
    ),
    "gateway.*": ({"gateway": {"annotations": {"a": "b"}}}, Effect.NONE),
    "monitoring.*": ({"monitoring": {"rules": {"labels": {"a": "b"}}}}, Effect.NONE),
    "job.*": ({"job": {"enabled": True, "entrypoint": "python town.py"}}, Effect.NONE),
    "tests.*": ({"tests": {"enabled": False}}, Effect.NONE),
    "commonLabels": ({"commonLabels": {"a": "b"}}, Effect.NONE),
    "serviceAccount.annotations": ({"serviceAccount": {"annotations": {"a": "b"}}}, Effect.NONE),
    "extraObjects": ({"extraObjects": []}, Effect.NONE),
    "global": ({"global": {"a": "b"}}, Effect.NONE),
    "enabled": ({"enabled": False}, Effect.NONE),
}

BASE = merged(
    values_file("values-gpu.yaml"),
    {
        "stack": {"replicas": 2},
        "redis": {"password": {"value": "old", "secretName": ""}},
        "autoscaling": {"enabled": True},
        "volumes": {"adapters": {"size": "1Gi"}},
        "monitoring": {"grafanaDashboards": {"enabled": False}},
    },
)

OTHER_RELEASE = {"nameOverride", "fullnameOverride", "serve.enabled"}
"""What replaces all objects of a name, or ends them: no upgrade of a running release."""


def hashed(service: dict[str, Any]) -> dict[str, Any]:
    """Return what KubeRay compares of a cluster, from 1.5.2 on.

    `GenerateHashWithoutReplicasAndWorkersToDelete`, ray-operator/controllers/ray/utils/util.go.
    Where that is the same `shouldUpdateCluster`, rayservice_controller.go, leaves the cluster as it
    is.
    """
    spec: dict[str, Any] = copy.deepcopy(service["spec"]["rayClusterConfig"])
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        for field in ("replicas", "minReplicas", "maxReplicas"):
            group.pop(field, None)
        group["template"]["spec"].pop("tolerations", None)
    return spec


def _fixed(objects: dict[Any, Any]) -> dict[Any, Any]:
    """Return what Kubernetes lets nobody change of an object once it is there, by the object."""
    found = {}
    for (kind, name), each in objects.items():
        if kind == "StatefulSet":
            found[kind, name] = each["spec"].get("volumeClaimTemplates")
        elif kind == "PersistentVolumeClaim":
            found[kind, name] = {k: v for k, v in each["spec"].items() if k != "resources"}
    return found


def effect(before: dict[Any, Any], after: dict[Any, Any]) -> Effect:
    """Return what happens when one rendered release takes the place of another."""
    fixed = [_fixed(each) for each in (before, after)]
    if any(fixed[0][each] != fixed[1][each] for each in fixed[0].keys() & fixed[1].keys()):
        return Effect.REFUSED
    old, new = (each["RayService", "town-scalesim"] for each in (before, after))
    if hashed(old) != hashed(new):
        return Effect.NEW_CLUSTER
    apps = [ServeApplicationSchema(**application(each)) for each in (before, after)]
    if get_app_code_version(apps[0]) != get_app_code_version(apps[1]):
        return Effect.ENGINES
    if apps[0] != apps[1]:
        return Effect.SCALES
    servers = [each.get(("StatefulSet", "town-scalesim-redis")) for each in (before, after)]
    templates = [each and each["spec"]["template"] for each in servers]
    if templates[0] != templates[1]:
        return Effect.REDIS
    clusters = [each["spec"]["rayClusterConfig"] for each in (old, new)]
    return Effect.NONE if clusters[0] == clusters[1] else Effect.NEXT_CLUSTER


def _named() -> set[str]:
    """Return the values that the table names: the last part of a path stands for those before."""
    found = set()
    for row in CHANGES:
        first, *more = row.split(", ")
        found.add(first)
        found |= {each if "." in each else f"{first.rpartition('.')[0]}.{each}" for each in more}
    return found


def test_every_value_is_in_the_table() -> None:
    """Of the chart's own and of the stack's."""
    paths = {".".join(value.path) for value in documented() if value.path[0] != "stack"}
    paths |= {f"stack.{name}" for name in StackSettings.model_fields}
    named = _named() | OTHER_RELEASE
    whole = {each.removesuffix(".*") for each in named if each.endswith(".*")}

    def known(path: str) -> bool:
        above = {path[:at] for at, letter in enumerate(f"{path}.") if letter == "."}
        return bool(above & (named | whole)) or any(each.startswith(f"{path}.") for each in named)

    assert {path for path in paths if not known(path)} == set()


def test_what_pods_have_of_the_stack_is_in_the_table_by_itself() -> None:
    """The rest of `stack` is in the application's arguments alone."""
    folder = CHART / "templates"
    texts = [(folder / f"_{name}.tpl").read_text() for name in ("pod", "cluster", "metrics")]
    read = set(re.findall(r"Values\.stack\.([a-z_.]+)", "".join(texts)))
    assert "engine.tp_size" in read
    assert read <= {name.removeprefix("stack.").removesuffix(".*") for name in _named()}


@cache
def running() -> dict[Any, Any]:
    return render(BASE)


@cache
def after(change: str) -> dict[Any, Any]:
    return render(BASE, CHANGES[change][0])


@pytest.mark.parametrize("change", CHANGES)
def test_does_what_the_page_says(change: str) -> None:
    expected = CHANGES[change][1]
    assert effect(running(), after(change)) is expected


@pytest.mark.parametrize("change", CHANGES)
def test_arguments_are_for_the_pods_they_come_with(change: str) -> None:
    """With strategy None pods stay as they are: then arguments that need others are refused."""
    objects = after(change)
    meant = application(objects)["args"]["pods"]
    for pod in pods(objects).values():
        env = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
        assert env["SCALESIM_PODS"] == meant
    before = running()
    if _containers(before) != _containers(objects):
        assert application(before)["args"]["pods"] != meant


def _containers(objects: dict[Any, Any]) -> list[dict[str, Any]]:
    found = [dict(pod["spec"]["containers"][0]) for pod in pods(objects).values()]
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
