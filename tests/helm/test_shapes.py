"""A value of another shape is refused by its own name, before it is part of any object."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest
from helm_python.errors import HelmError
from ray.runtime_env import RuntimeEnv

from helm.generate import CHART, SHAPES, documented
from tests.support.chart import render
from tests.support.crds import crd

CLIENTS = "networkPolicy.clients"
WRONG: list[tuple[str, Any]] = [
    ("volumes.shmSize", "8GB"),
    ("volumes.shmSize", ""),
    ("volumes.storage.size", "2TB"),
    ("volumes.models.size", "200 Gi"),
    ("redis.bundled.persistence.size", ""),
    ("workers.resources.limits.memory", "16gi"),
    ("workers.resources.limits", "16Gi"),
    ("head.resources.requests", ["cpu"]),
    ("volumes.models.mountPath", "models"),
    ("volumes.models.mountPath", "/models/"),
    ("volumes.storage.mountPath", "/"),
    ("volumes.models.existingClaim", "My Claim"),
    ("volumes.storage.storageClassName", "My Class"),
    ("redis.host", "redis://r:6379"),
    ("redis.host", "r:6379"),
    ("apiKey.value", "key\n"),
    ("redis.password.value", "word\n"),
    ("apiKey.secretName", "Keys"),
    ("apiKey.secretKey", ""),
    ("ray.version", "latest"),
    ("job.entrypoint", "  "),
    ("image.repository", "town/scalesim:1.2"),
    ("image.digest", "0a1b"),
    ("monitoring.podMonitor.interval", "15"),
    ("ingress.host", "https://sim.example.org/v1"),
    ("workers.gpuResource", "gpu"),
    ("workers.gpuResource", "vendor.example/npu"),
]
INSIDE: list[tuple[str, Any, str]] = [
    ("workers.resources", {"limit": {"memory": "16Gi"}}, "limit"),
    ("workers.env", ["A=b"], "0"),
    ("workers.env", [{"name": "A", "text": "b"}], "text"),
    ("workers.env", [{"name": "A", "value": {"b": 1}}], "0/value"),
    ("workers.env", [{"name": "A=b", "value": "c"}], "0/name"),
    ("workers.envFrom", ["secret"], "0"),
    ("workers.tolerations", ["gpu"], "0"),
    ("workers.tolerations", [{"kye": "gpu"}], "kye"),
    ("workers.affinity", {"podAntiAffinty": {}}, "podAntiAffinty"),
    ("workers.topologySpreadConstraints", [{"maxSkw": 1}], "maxSkew"),
    ("workers.initContainers", [{"name": "fetch"}], "image"),
    ("workers.sidecars", ["fluent-bit"], "0"),
    ("workers.extraVolumes", [{"emptyDir": {}}], "name"),
    ("workers.extraVolumeMounts", [{"name": "a", "path": "/a"}], "mountPath"),
    ("workers.livenessProbe", {"httpget": {}}, "httpget"),
    ("workers.nodeSelector", {"pool": {"a": "b"}}, "pool"),
    ("workers.podLabels", {"app.kubernetes.io/component": "x"}, "component"),
    ("commonLabels", {"team": "my team"}, "team"),
    ("head.podAnnotations", {"a": ["b"]}, "a"),
    ("podSecurityContext", {"runAsUser": "1000"}, "runAsUser"),
    ("securityContext", {"runAsNonroot": True}, "runAsNonroot"),
    ("image.pullSecrets", [5], "0"),
    (CLIENTS, ["10.0.0.0/8"], "0"),
    (CLIENTS, [{"namespaceSelecter": {}}], "namespaceSelecter"),
    (CLIENTS, [{}], "0"),
    ("networkPolicy.extraEgress", ["443"], "0"),
    ("gateway.parentRefs", ["edge"], "0"),
    ("volumes.models.accessModes", ["ReadWriteMeny"], "0"),
    ("volumes.adapters.sources", ["s3://b/a"], "0"),
    ("job.args", [["society"]], "0"),
    ("job.runtimeEnv", {"pipp": ["a"]}, "pipp"),
    ("job.runtimeEnv", {"env_vars": ["A=b"]}, "env_vars"),
    ("job.runtimeEnv", {"working_dir": "./town"}, "working_dir"),
    ("extraObjects", [5], "0"),
]


NAMES: list[tuple[str, Any]] = [
    ("commonLabels", {"my team": "a"}),
    ("head.podAnnotations", {"a/b/c": "d"}),
    ("workers.nodeSelector", {"-pool": "a"}),
]


def nested(path: str, value: Any) -> dict[str, Any]:
    return reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), value)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [*((path, value, "") for path, value in WRONG), *INSIDE],
    ids=lambda each: each if isinstance(each, str) else json.dumps(each),
)
def test_it_is_refused_by_its_name(path: str, value: Any, part: str) -> None:
    with pytest.raises(HelmError, match=f"/{path.replace('.', '/')}.*{part}"):
        render(nested(path, value))


@pytest.mark.parametrize(("path", "value"), NAMES)
def test_names_that_are_none_are_refused(path: str, value: dict[str, str]) -> None:
    (name,) = value
    with pytest.raises(HelmError, match=f"invalid propertyName '{name}'"):
        render(nested(path, value))


def test_fields_are_those_that_kuberay_keeps() -> None:
    (version,) = (v["schema"] for v in crd("RayService")["spec"]["versions"] if v["name"] == "v1")
    spec = version["openAPIV3Schema"]["properties"]["spec"]["properties"]
    head = spec["rayClusterConfig"]["properties"]["headGroupSpec"]["properties"]
    pod = head["template"]["properties"]["spec"]["properties"]
    container = pod["containers"]["items"]["properties"]
    kept = {
        "Tolerations": pod["tolerations"],
        "Affinity": pod["affinity"],
        "PodSecurity": pod["securityContext"],
        "PullSecrets": pod["imagePullSecrets"],
        "Security": container["securityContext"],
        "Resources": container["resources"],
        "Variables": container["env"],
        "VariableSources": container["envFrom"],
        "Mounts": container["volumeMounts"],
        "Probe": container["livenessProbe"],
    }
    for name, found in kept.items():
        ours = SHAPES["shapes"][name]
        ours, found = ours.get("items", ours), found.get("items", found)
        assert ours["properties"].keys() == found["properties"].keys(), name
        assert ours["additionalProperties"] is False, name


def test_fields_of_a_runtime_environment_are_rays() -> None:
    ours = SHAPES["shapes"]["RuntimeEnv"]["properties"].keys()
    assert ours == RuntimeEnv.known_fields - RuntimeEnv.extensions_fields


def test_each_shape_has_a_value_and_each_value_its_shape() -> None:
    named, text = SHAPES["values"], json.dumps(SHAPES["shapes"])
    used = {name for name in SHAPES["shapes"] if f"#/$defs/{name}" in text}
    assert used | set(named.values()) == SHAPES["shapes"].keys()
    paths = ["." + ".".join(value.path) for value in documented()]
    assert not [end for end in named if not any(path.endswith(f".{end}") for path in paths)]


def test_lists_and_maps_have_a_shape() -> None:
    """What is left is passed to nobody, or is the stack's, which has a schema of its own."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    shapeless = set()
    for value in (each for each in documented() if each.path[0] != "stack"):
        found = reduce(lambda at, key: at["properties"][key], value.path, schema)
        if isinstance(value.default, list | dict) and not {"$ref", "properties"} & found.keys():
            shapeless.add(".".join(value.path))
    assert shapeless == {"global"}


TOGETHER: list[tuple[dict[str, Any], str]] = [
    (
        {"volumes": {"adapters": {"mountPath": "/models", "existingClaim": "a"}}},
        "two mounts at /models",
    ),
    (
        {"workers": {"extraVolumes": [{"name": "shm", "emptyDir": {}}]}},
        "workers.extraVolumes has shm",
    ),
    (
        {"workers": {"extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}]}},
        "mounts cache, .* add it to workers.extraVolumes",
    ),
    (
        {"head": {"extraVolumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}},
        "two mounts at /dev/shm",
    ),
    (
        {
            "workers": {
                "sidecars": [
                    {
                        "name": "logs",
                        "image": "l:1",
                        "volumeMounts": [{"name": "l", "mountPath": "/l"}],
                    }
                ]
            }
        },
        "container logs mounts l,",
    ),
    (
        {
            "stack": {"engine": {"storage_dir": "/statefulness"}},
            "volumes": {"storage": {"size": "1Ti"}},
        },
        "storage_dir is /statefulness, which is on no volume",
    ),
    (
        {"workers": {"resources": {"limits": {"memory": "8Gi"}}}},
        "workers.resources.requests has 16Gi of memory and workers.resources.limits 8Gi",
    ),
    (
        {"redis": {"bundled": {"resources": {"limits": {"cpu": "0.2"}}}}},
        "redis.bundled.resources.requests has 250m of cpu",
    ),
    (
        {"stack": {"cpus_per_replica": 8}},
        "stack.replicas is 1 but 1 workers of 4 CPUs .* room for 0 with stack.cpus_per_replica 8",
    ),
    (
        {
            "workers": {"gpus": 8, "resources": {"limits": {"cpu": "2500m"}}},
            "stack": {"replicas": 7},
        },
        "workers of 2500m CPUs .* room for 6",
    ),
    (
        {"ray": {"tokenAuth": False, "tokenSecretName": "token"}},
        "tokenSecretName is set without ray.tokenAuth",
    ),
    (
        {"redis": {"bundled": {"image": {"tag": ""}}}},
        "redis.bundled.image has no tag and no digest",
    ),
]


@pytest.mark.parametrize(("values", "words"), TOGETHER, ids=lambda each: str(each)[:40])
def test_what_does_not_fit_together_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HelmError, match=words):
        render(values)
