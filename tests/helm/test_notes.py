"""What Helm prints after an installation or an upgrade: its commands are for what is there."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.support.chart import render, rendered_files

BY_VALUE = {"apiKey": {"value": "k", "secretName": ""}}
KEY_WITH_DOTS = {"apiKey": {"secretKey": "town.api.key"}}
ON_OWN_PORT = {"serve": {"port": 8001}}
_COUNTS = ("minReplicas", "maxReplicas", "replicas")


def notes(*layers: dict[str, Any]) -> str:
    return rendered_files(*layers)["scalesim/templates/NOTES.txt"]


def commands(text: str, *start: str) -> list[list[str]]:
    """Return the words of the commands that begin so, after the namespace."""
    lines = [line.strip().rstrip("&") for line in text.splitlines()]
    words = [shlex.split(line) for line in lines if line.startswith(("kubectl -n", "helm -n"))]
    assert {each[2] for each in words} == {"sim"}
    return [each[3:] for each in words if each[3 : 3 + len(start)] == list(start)]


@pytest.mark.parametrize(
    "values", [BY_VALUE, ON_OWN_PORT, KEY_WITH_DOTS], ids=["by value", "own port", "dots"]
)
def test_waiting_calling_and_the_key_are_of_objects_that_are_there(values: dict[str, Any]) -> None:
    objects, text = render(values), notes(values)
    ((_, _, kind_and_name, _),) = commands(text, "wait")
    kind, name = kind_and_name.split("/")
    assert kind == "rayservice"
    spec = objects["RayService", name]["spec"]
    ((_, service, port),) = commands(text, "port-forward")
    assert service == f"svc/{spec['serveService']['metadata']['name']}"
    assert port == str(spec["serveService"]["spec"]["ports"][0]["port"])
    (secret, key) = re.findall(r"get secret (\S+) -o jsonpath='\{\.data\.(\S+)\}'", text)[0]
    container = spec["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    (variable,) = (each for each in container["env"] if each["name"] == "SCALESIM_API_KEY")
    assert variable["valueFrom"]["secretKeyRef"] == {"name": secret, "key": key.replace("\\.", ".")}
    assert "." not in key.replace("\\.", "")  # a path within the object to kubectl
    assert commands(text, "test") == [["test", "town"]]


def test_pods_that_are_to_change_are_ended_as_the_strategy_wants_it() -> None:
    """By the name of the cluster, or by the label that KubeRay gives all of a RayService's."""
    assert commands(notes(), "delete") == [["delete", "raycluster", "THAT_NAME"]]
    none = notes({"serve": {"upgradeStrategy": "None"}})
    ((_, _, _, selector),) = commands(none, "delete")
    assert selector == "ray.io/originated-from-cr-name=town-scalesim"


@pytest.mark.parametrize("autoscaled", [False, True])
def test_the_running_cluster_is_given_the_number_of_workers_that_the_values_have(
    autoscaled: bool,
) -> None:
    values = {"workers": {"replicas": 3}, "autoscaling": {"enabled": autoscaled}}
    spec = render(values)["RayService", "town-scalesim"]["spec"]["rayClusterConfig"]
    ((*_, patch),) = commands(notes(values), "patch")
    found = {}
    for change in json.loads(patch):
        assert change["op"] == "replace"
        *path, field = change["path"].removeprefix("/spec/").split("/")
        group = spec
        for part in path:
            group = group[int(part) if part.isdigit() else part]
        assert group[field] == change["value"]
        found[field] = change["value"]
    count = {"minReplicas": 1, "maxReplicas": 4} if autoscaled else dict.fromkeys(_COUNTS, 3)
    assert found == count  # how many there are now is Ray's autoscaler's


def test_a_job_alone_is_watched() -> None:
    values = {"serve": {"enabled": False}, "job": {"enabled": True, "outClaim": "out"}}
    assert commands(notes(values), "get") == [["get", "rayjob", "town-scalesim-job", "-w"]]


def test_what_is_left_open_or_out_is_said() -> None:
    monitors = {"monitoring": {"podMonitor": {"enabled": True}}}
    models = {"existingClaim": "", "size": "9Gi", "accessModes": ["ReadWriteOnce"]}
    of_one_node = {
        "volumes": {"models": models},
        "model": {"source": "smollm2"},
        "stack": {"engine": {"model_path": ""}},
    }
    gateway = {
        "gateway": {
            "enabled": True,
            "parentRefs": [{"name": "edge"}],
            "hostnames": ["sim.example.org"],
        },
        "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
    }
    cases: dict[str, dict[str, Any]] = {
        "There is no NetworkPolicy": {"networkPolicy": {"enabled": False}},
        "catalog is kept in memory": {"redis": {"bundled": {"persistence": {"enabled": False}}}},
        "Monitors and rules were left out": monitors,
        "start only where\nall are on one node": of_one_node | {"workers": {"replicas": 2}},
        "by the gateway: sim.example.org, below /v1": gateway,
    }
    for words, values in cases.items():
        assert words in notes(values)
        assert words not in notes()
    assert "all are on one node" not in notes(of_one_node)
    present = {"monitoring": {"prometheusOperator": "present"}}
    assert "left out" not in notes(monitors, present)
