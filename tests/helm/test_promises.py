"""What no schema says: names, selectors, secrets, and rules that only KubeRay's operator checks."""

from __future__ import annotations

import itertools
import json
import shlex
from typing import Any

import pytest

from scalesim.deployments.stack import SERVING
from tests.helm.test_schemas import ALL_MONITORING, MATRIX
from tests.support.chart import pods, render, settings

LABELS = {
    *(f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "component")),
    *(f"app.kubernetes.io/{name}" for name in ("part-of", "managed-by")),
    "helm.sh/chart",
}


def _selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", ())
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


@pytest.mark.parametrize("name", MATRIX)
def test_every_object_is_labelled(name: str) -> None:
    for found in render(MATRIX[name]).values():
        assert set(found["metadata"]["labels"]) >= LABELS
        assert found["metadata"]["namespace"] == "sim"


@pytest.mark.parametrize("name", sorted(MATRIX.keys() - {"own job"}))
def test_kuberay_would_take_the_cluster(name: str) -> None:
    service = render(MATRIX[name])["RayService", "town-scalesim"]
    assert service["spec"]["upgradeStrategy"]["type"] in {"None", "NewCluster"}
    cluster = service["spec"]["rayClusterConfig"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    if "gcsFaultToleranceOptions" in cluster:
        assert "redis-password" not in cluster["headGroupSpec"]["rayStartParams"]
        for pod in pods({("RayService", ""): service}).values():
            names = {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}
            assert not names & {"REDIS_PASSWORD", "RAY_REDIS_ADDRESS"}


def test_ray_asks_for_a_token_by_default() -> None:
    service = render()["RayService", "town-scalesim"]
    assert service["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}


def test_pods_serve_as_a_stack_on_one_machine_does() -> None:
    for pod in pods(render()).values():
        variables = {
            each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]
        }
        assert variables.items() >= SERVING.items()


def test_a_new_chart_version_does_not_replace_the_cluster() -> None:
    for pod in pods(render()).values():
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(pod["metadata"]["labels"])


def test_secrets_by_value_are_in_the_secret_only() -> None:
    given = {
        "apiKey": {"value": "key-8731", "secretName": ""},
        "redis": {"password": {"value": "word-5512", "secretName": ""}},
    }
    for (kind, _), found in render(given, ALL_MONITORING).items():
        text = json.dumps(found)
        assert (("key-8731" in text), ("word-5512" in text)) == ((kind == "Secret"),) * 2


def test_the_monitor_scrapes_the_ingress_once() -> None:
    objects = render(ALL_MONITORING, {"job": {"enabled": True, "outClaim": "out"}})
    monitor = objects["ServiceMonitor", "town-scalesim"]
    services = [found for (kind, _), found in objects.items() if kind == "Service"]
    (service,) = (
        each
        for each in services
        if _selected(monitor["spec"]["selector"], each["metadata"]["labels"])
    )
    chosen = {"matchLabels": service["spec"]["selector"]}
    ours = pods(objects)
    assert _selected(chosen, ours["head"]["metadata"]["labels"])
    assert not _selected(chosen, ours["worker"]["metadata"]["labels"])
    job = objects["RayJob", "town-scalesim-job"]["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert not _selected(chosen, job["template"]["metadata"]["labels"])
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "keys", "key": "api-key"}


def _ports(pod: dict[str, Any]) -> dict[str, int]:
    ports = pod["spec"]["containers"][0]["ports"]
    return {port["name"]: port["containerPort"] for port in ports}


def test_controller_and_replicas_are_scraped_with_the_key_and_through_the_policy() -> None:
    objects = render(
        ALL_MONITORING, {"workers": {"gpus": 4, "replicas": 2}, "stack": {"replicas": 7}}
    )
    metrics = settings(objects).metrics
    assert metrics.host == "0.0.0.0"
    monitor = objects["PodMonitor", "town-scalesim-ray"]["spec"]
    scraped = {each["port"]: each for each in monitor["podMetricsEndpoints"]}
    head, worker = (_ports(pod) for pod in pods(objects).values())
    assert head["controller"] == metrics.controller_port
    engines = {name for name in worker if name.startswith("replica-")}
    assert {worker[name] for name in engines} == set(metrics.replica_ports[:4])
    assert set(scraped) == {"metrics", "controller"} | engines
    for name, endpoint in scraped.items():
        key = endpoint.get("authorization", {}).get("credentials")
        assert key == (None if name == "metrics" else {"name": "keys", "key": "api-key"})
    policy = objects["NetworkPolicy", "town-scalesim-ray"]["spec"]["ingress"]
    (rule,) = (each for each in policy if {"port": 8080} in each.get("ports", ()))
    open_to_it = {
        port
        for each in rule["ports"]
        for port in range(each["port"], each.get("endPort", each["port"]) + 1)
    }
    assert {*metrics.controller_ports, *metrics.replica_ports} <= open_to_it


def test_without_a_pod_monitor_the_api_tells_all_and_nothing_more_is_open() -> None:
    objects = render({"monitoring": {"serviceMonitor": {"enabled": True}}})
    metrics = settings(objects).metrics
    assert (metrics.controller_port, metrics.replica_port) == (0, 0)
    for pod in pods(objects).values():
        assert set(_ports(pod)) <= {"serve", "metrics", "gcs-server", "dashboard", "client"}


def test_another_scraper_is_given_ports() -> None:
    given = {"controller_port": 9001, "replica_port": 9200}
    objects = render({"stack": {"metrics": given}})
    head, worker = (_ports(pod) for pod in pods(objects).values())
    assert (head["controller"], worker["replica-0"]) == (9001, 9200)
    assert "replica-1" not in worker


def test_every_pod_is_closed_but_for_named_peers() -> None:
    objects = render({"job": {"enabled": True, "outClaim": "out"}})
    deny = objects["NetworkPolicy", "town-scalesim-deny"]["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    assert "egress" not in deny
    redis = objects["StatefulSet", "town-scalesim-redis"]["spec"]["template"]
    for pod in (*pods(objects).values(), redis, objects["Pod", "town-scalesim-test"]):
        assert _selected(deny["podSelector"], pod["metadata"]["labels"])
    ray = objects["NetworkPolicy", "town-scalesim-ray"]["spec"]
    assert all(rule["from"] for rule in ray["ingress"])
    assert not _selected(ray["podSelector"], redis["metadata"]["labels"])


def test_hub_models_open_the_way_to_the_hub() -> None:
    def ports(model: str) -> set[int]:
        policy = render({"stack": {"engine": {"model_path": model}}})
        rules = policy["NetworkPolicy", "town-scalesim-ray"]["spec"]["egress"]
        return {each["port"] for each in itertools.chain(*(r.get("ports", ()) for r in rules))}

    assert 443 in ports("org/model")
    assert 443 not in ports("/models/m")


def test_a_jobs_runtime_environment_is_fetched_by_its_own_pods_alone() -> None:
    job = {"enabled": True, "entrypoint": "python town.py", "runtimeEnv": {"pip": ["mesa"]}}
    objects = render({"job": job})
    policy = objects["NetworkPolicy", "town-scalesim-job"]["spec"]
    assert policy["egress"] == [{"ports": [{"port": 443}]}]
    of_job = objects["RayJob", "town-scalesim-job"]["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert _selected(policy["podSelector"], of_job["template"]["metadata"]["labels"])
    for pod in pods(objects).values():
        assert not _selected(policy["podSelector"], pod["metadata"]["labels"])
    without = render({"job": job | {"runtimeEnv": {}}})
    assert ("NetworkPolicy", "town-scalesim-job") not in without


def test_budgets_are_integers() -> None:
    budgets = [f for (kind, _), f in render().items() if kind == "PodDisruptionBudget"]
    assert len(budgets) == 2
    for budget in budgets:  # KubeRay's pods have no scale to take a share or a maximum of
        assert isinstance(budget["spec"]["minAvailable"], int)
        assert "maxUnavailable" not in budget["spec"]


def test_gpus_are_in_requests_and_limits() -> None:
    worker = pods(render({"workers": {"gpus": 2}, "stack": {"replicas": 2}}))["worker"]
    resources = worker["spec"]["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "2"


def test_a_changed_secret_replaces_the_pods() -> None:
    def checksum(key: str) -> str:
        head = pods(render({"apiKey": {"value": key, "secretName": ""}}))["head"]
        return str(head["metadata"]["annotations"]["checksum/secrets"])

    assert checksum("a") != checksum("b")
    assert checksum("a") == checksum("a")


def test_every_pod_and_job_knows_where_the_stack_is() -> None:
    objects = render({"job": {"enabled": True, "entrypoint": "python town.py"}}, ALL_MONITORING)
    job = objects["RayJob", "town-scalesim-job"]["spec"]
    assert job["entrypoint"] == "python town.py"
    templates = [
        *pods(objects).values(),
        job["rayClusterSpec"]["headGroupSpec"]["template"],
        job["rayClusterSpec"]["workerGroupSpecs"][0]["template"],
    ]
    for pod in templates:
        env = {each["name"]: each for each in pod["spec"]["containers"][0]["env"]}
        assert env["SCALESIM_BASE_URL"]["value"] == "http://town-scalesim:8000"
        assert env["SCALESIM_API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "keys"
    monitor = objects["PodMonitor", "town-scalesim-job"]["spec"]
    assert _selected(monitor["selector"], templates[-1]["metadata"]["labels"])
    assert not _selected(monitor["selector"], templates[0]["metadata"]["labels"])
    assert [each["port"] for each in monitor["podMetricsEndpoints"]] == ["metrics"]


def test_the_stacks_of_a_reference_job_are_scraped_as_a_release_of_their_own() -> None:
    job = {"enabled": True, "outClaim": "out"}
    objects = render({"workers": {"gpus": 2}, "job": job}, ALL_MONITORING)
    spec = objects["RayJob", "town-scalesim-job"]["spec"]
    words = shlex.split(spec["entrypoint"])
    given = dict(itertools.pairwise(words))
    controller, replicas = map(int, given["--metrics-ports"].split(","))
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    head, worker = (_ports(group["template"]) for group in groups)
    assert (head["serve"], head["controller"]) == (int(given["--port"]), controller)
    assert "serve" not in worker
    assert [worker[f"replica-{n}"] for n in range(2)] == [replicas, replicas + 1]
    endpoints = objects["PodMonitor", "town-scalesim-job"]["spec"]["podMetricsEndpoints"]
    assert {each["port"] for each in endpoints} == {*head, *worker} - {
        "gcs-server",
        "dashboard",
        "client",
    }
    for endpoint in endpoints:
        key = endpoint.get("authorization", {}).get("credentials")
        assert key == (
            None if endpoint["port"] == "metrics" else {"name": "keys", "key": "api-key"}
        )
        (name,) = endpoint["relabelings"]
        assert (name["targetLabel"], name["replacement"]) == (
            "app_kubernetes_io_instance",
            "town-job",
        )


def test_without_a_key_a_jobs_stacks_are_not_scraped() -> None:
    values = {"serve": {"enabled": False}, "apiKey": {"secretName": ""}}
    objects = render(values, {"job": {"enabled": True, "outClaim": "out"}}, ALL_MONITORING)
    assert "--port" not in objects["RayJob", "town-scalesim-job"]["spec"]["entrypoint"]
    monitor = objects["PodMonitor", "town-scalesim-job"]["spec"]
    assert [each["port"] for each in monitor["podMetricsEndpoints"]] == ["metrics"]
    assert ("PrometheusRule", "town-scalesim") not in objects  # a job's end is not an alarm
