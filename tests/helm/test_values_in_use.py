"""Values as people's files have them: numbers for text, digests, further containers and objects."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from helm_python.errors import HelmError
from redis.connection import parse_url

from helm.generate import documented, schema
from tests.helm.test_schemas import KUBERNETES
from tests.support.chart import CHART, NEEDED, merged, pods, render, rendered_files, settings
from tests.support.crds import validator

DIGEST = "sha256:" + "0a" * 32


def test_numbers_and_booleans_become_text_where_kubernetes_wants_it() -> None:
    words: dict[str, Any] = {"version": 2, "spot": True, "team": "town"}
    objects = render(
        {
            "commonLabels": words,
            "head": {"podLabels": words, "podAnnotations": words, "nodeSelector": words},
            "workers": {"env": [{"name": "N", "value": 5}], "nodeSelector": words},
            "redis": {"bundled": {"nodeSelector": words}},
            "serve": {"serviceAnnotations": words},
            "tests": {"nodeSelector": words},
            "serviceAccount": {"annotations": words},
            "monitoring": {"rules": {"enabled": True, "labels": words}},
        }
    )
    text = {"version": "2", "spot": "true", "team": "town"}
    assert pods(objects)["head"]["spec"]["nodeSelector"] == text
    for (kind, _), found in objects.items():
        assert found["metadata"]["labels"].items() >= text.items()
        if kind != "RayService":
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
    env = pods(objects)["worker"]["spec"]["containers"][0]["env"]
    assert {"name": "N", "value": "5"} in env


def test_a_variable_may_come_from_a_secret_or_the_pod() -> None:
    secret = {"secretKeyRef": {"name": "hub", "key": "token"}}
    field = {"fieldRef": {"fieldPath": "status.podIP"}}
    given = [{"name": "HF_TOKEN", "valueFrom": secret}, {"name": "IP", "valueFrom": field}]
    more = [{"secretRef": {"name": "proxy"}}, {"configMapRef": {"name": "site"}}]
    for group, pod in pods(
        render({each: {"env": given, "envFrom": more} for each in ("head", "workers")})
    ).items():
        (container,) = pod["spec"]["containers"]
        assert [each for each in container["env"] if each in given] == given, group
        assert container["envFrom"] == more


def test_whole_numbers_have_no_exponent_and_null_is_nothing() -> None:
    """Helm reads them as floats, and writes those from a million on as 1e+06."""
    many, words = 20261127, {"build": 20261127, "gone": None}
    job = {"args": ["society", "--seed", many], "ttlSecondsAfterFinished": many}
    job |= {"runtimeEnv": {"env_vars": {"N": many}}, "enabled": True, "outClaim": "out"}
    env = [{"name": "N", "value": many}, {"name": "EMPTY", "value": None}]
    objects = render(
        {"commonLabels": words, "workers": {"env": env, "podLabels": words}, "job": job}
    )
    for found in objects.values():
        assert found["metadata"]["labels"]["build"] == str(many)
        assert "gone" not in found["metadata"]["labels"]
    (container,) = pods(objects)["worker"]["spec"]["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert (values["N"], values["EMPTY"]) == (str(many), "")
    spec = objects["RayJob", "town-scalesim-job"]["spec"]
    assert f"'--seed' '{many}'" in spec["entrypoint"]
    assert spec["ttlSecondsAfterFinished"] == many
    assert type(spec["ttlSecondsAfterFinished"]) is int
    assert yaml.safe_load(spec["runtimeEnvYAML"]) == {"env_vars": {"N": str(many)}}


def test_large_whole_numbers_are_numbers() -> None:
    many = 2_000_000
    budget = {"minAvailableWorkers": many}
    values = {"workers": {"replicas": many}, "podDisruptionBudget": budget}
    objects = render(values | {"redis": {"host": "r", "db": many}})
    cluster = objects["RayService", "town-scalesim"]["spec"]["rayClusterConfig"]
    (group,) = cluster["workerGroupSpecs"]
    assert [group[key] for key in ("replicas", "minReplicas", "maxReplicas")] == [many] * 3
    workers = objects["PodDisruptionBudget", "town-scalesim-worker"]["spec"]
    assert workers["minAvailable"] == many
    assert settings(objects).catalog.url.get_secret_value().endswith(f"/{many}")


def test_a_list_or_a_map_that_is_null_is_empty() -> None:
    """All of them at once; other values may not be null, by the schema."""
    whole, nulls = schema(), dict[str, Any]()
    for path, default, _ in documented():
        at, value = whole, nulls
        for key in path[:-1]:
            at, value = at["properties"][key], value.setdefault(key, {})
        if path[0] == "stack" or path[-1] in at["required"]:
            continue
        assert isinstance(default, list | dict)
        value[path[-1]] = None
    nulls["networkPolicy"]["operator"] = [{"podSelector": {}}]
    nulls["volumes"]["adapters"]["size"] = "1Gi"
    for (kind, _), found in render(nulls).items():
        if kind == "RayService":
            assert [e.json_path for e in validator(kind).iter_errors(found)] == []
        else:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
    claim = render(nulls)["PersistentVolumeClaim", "town-scalesim-adapters"]["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"]
    rules = render(nulls)["NetworkPolicy", "town-scalesim-ray"]["spec"]["ingress"]
    assert all(rule["from"] for rule in rules)  # an empty one lets everybody in


def test_text_that_yaml_takes_for_something_else_stays_text() -> None:
    number = "1234"
    objects = render(
        {
            "apiKey": {"secretName": number, "secretKey": number},
            "ray": {"tokenSecretName": number},
            "volumes": {"models": {"existingClaim": number}},
            "networkPolicy": {"clients": [{"podSelector": {}}]},
            "ingress": {"enabled": True, "host": "*.example.org", "tlsSecretName": number},
        }
    )
    ingress = objects["Ingress", "town-scalesim"]["spec"]
    assert ingress["rules"][0]["host"] == ingress["tls"][0]["hosts"][0] == "*.example.org"
    cluster = objects["RayService", "town-scalesim"]["spec"]["rayClusterConfig"]
    assert cluster["authOptions"]["secretName"] == number
    for (kind, _), found in objects.items():
        if kind != "RayService":
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
    worker = pods(objects)["worker"]
    kubernetes_validate.validate({"kind": "Pod", "apiVersion": "v1", **worker}, KUBERNETES)


def test_a_fingerprint_of_digits_alone_is_no_number() -> None:
    text = rendered_files()["scalesim/templates/rayservice.yaml"]
    assert re.search(r'pods: "[0-9a-f]{16}"', text)


def test_a_jobs_arguments_arrive_as_they_are() -> None:
    args = ["society", "--name", "it's a: town #2", 5]
    objects = render({"job": {"enabled": True, "outClaim": "out", "args": args}})
    command = shlex.split(objects["RayJob", "town-scalesim-job"]["spec"]["entrypoint"])
    assert command[3:] == [*map(str, args), "--out", "/out"]


@pytest.mark.parametrize(
    "image",
    [{"digest": DIGEST}, {"repository": f"registry:5000/scalesim@{DIGEST}"}],
    ids=["digest", "in the repository"],
)
def test_an_image_by_digest_has_no_tag(image: dict[str, str]) -> None:
    objects = render({"image": image, "redis": {"bundled": {"image": image}}})
    redis = objects["StatefulSet", "town-scalesim-redis"]["spec"]["template"]
    for pod in (*pods(objects).values(), redis, objects["Pod", "town-scalesim-test"]):
        assert pod["spec"]["containers"][0]["image"].endswith(f"@{DIGEST}")


@pytest.mark.parametrize(
    ("host", "user"),
    [("redis.example.org", "sim"), ("fd00::1", "sim"), ("[fd00::1]", "a user@home:/?#%")],
)
def test_the_catalogs_address_says_what_was_given(host: str, user: str) -> None:
    given = {"redis": {"host": host, "username": user, "port": 7000, "db": 3}}
    found = parse_url(settings(render(given)).catalog.url.get_secret_value())
    assert found["username"] == user
    assert found["host"] == host.strip("[]")
    assert (found["port"], found["db"]) == (7000, 3)


def test_two_releases_on_one_redis_do_not_meet() -> None:
    external = {"redis": {"host": "redis.example.org"}}
    names = {
        settings(render(external, release=release)).catalog.namespace
        for release in ("town", "village")
    }
    assert names == {"sim-town-scalesim", "sim-village-scalesim"}
    own = external | {"stack": {"catalog": {"namespace": "shared"}}}
    assert settings(render(own)).catalog.namespace == "shared"


def test_as_a_dependency_of_another_chart(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "Chart.yaml").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v2",
                "name": "parent",
                "version": "1.0.0",
                "dependencies": [
                    {"name": "scalesim", "version": "*", "condition": "scalesim.enabled"}
                ],
            }
        )
    )
    with helm_python.Chart.load(str(CHART)) as chart:
        chart.save_dir(str(parent / "charts"))
    with helm_python.Chart.load(str(parent)) as chart:
        values = {"global": {"region": "x"}, "scalesim": merged(NEEDED, {"enabled": True})}
        files = chart.render(values, name="town", namespace="sim")
    assert any(path.endswith("rayservice.yaml") for path in files)


def test_further_containers_and_objects() -> None:
    sidecar = {"name": "logs", "image": "fluent-bit:3"}
    secret = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-more", "labels": {"a": "b"}},
    }
    text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: '{{ .Release.Name }}-text'}\n"
    objects = render({"workers": {"sidecars": [sidecar]}, "extraObjects": [secret, text]})
    containers = pods(objects)["worker"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["ray-worker", "logs"]
    assert {("ConfigMap", "town-more"), ("ConfigMap", "town-text")} <= objects.keys()


def test_a_registrys_secret_by_its_name() -> None:
    for secret in ("registry", {"name": "registry"}):
        objects = render({"image": {"pullSecrets": [secret]}})
        redis = objects["StatefulSet", "town-scalesim-redis"]["spec"]["template"]
        for pod in (*pods(objects).values(), redis, objects["Pod", "town-scalesim-test"]):
            assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_sizes_that_fit_are_taken_in_any_unit() -> None:
    limits: tuple[Any, ...] = (17179869184, "17.5G", "1P", None)
    for limit in limits:
        engine = {"host_bytes": 2**31}
        resources = {"limits": {"memory": limit}}
        render({"workers": {"gpus": 8, "resources": resources}, "stack": {"engine": engine}})


def test_quantities_of_every_kind_and_mounts_of_a_jobs_volume_are_taken() -> None:
    requests = {"cpu": ".5", "memory": "16e9", "ephemeral-storage": "1.5Ti", "x.org/a": 2}
    limits = {"cpu": 4, "memory": 17179869184}
    fetch = {"name": "fetch", "image": "fetch:1"}
    fetch |= {"volumeMounts": [{"name": "out", "mountPath": "/out"}]}
    resources = {"requests": requests, "limits": limits}
    workers = {"resources": resources, "initContainers": [fetch], "extraVolumes": [{"name": "a"}]}
    job = {"enabled": True, "outClaim": "out"}
    render({"workers": workers, "job": job, "serve": {"enabled": False}})
    with pytest.raises(HelmError, match="container fetch mounts out"):
        render({"workers": workers, "job": job})


def test_a_way_in_by_gateway_api() -> None:
    objects = render(
        {
            "gateway": {
                "enabled": True,
                "parentRefs": [{"name": "edge", "namespace": "infra"}],
                "hostnames": ["sim.example.org"],
            },
            "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
        }
    )
    route = objects["HTTPRoute", "town-scalesim"]["spec"]
    (rule,) = route["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert rule["backendRefs"] == [{"name": "town-scalesim", "port": 8000}]
    assert route["hostnames"] == ["sim.example.org"]


def test_the_test_pod_goes_where_others_do() -> None:
    taint = {"key": "pool", "operator": "Exists"}
    pod = render({"tests": {"nodeSelector": {"pool": "sim"}, "tolerations": [taint]}})[
        "Pod", "town-scalesim-test"
    ]
    assert pod["spec"]["nodeSelector"] == {"pool": "sim"}
    assert pod["spec"]["tolerations"] == [taint]
