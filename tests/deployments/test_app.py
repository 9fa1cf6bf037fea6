"""The application that manifests name, behind Serve's own proxy."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ray import serve

from benchmarks.free_port import free_port
from scalesim.controller import actor
from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.deployments.app import build
from scalesim.settings import ControllerSettings
from tests.support.stack_client import words

pytestmark = [pytest.mark.ray, pytest.mark.engine]


@pytest.fixture
def proxy(ray_local: None) -> Iterator[str]:
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    actor.stop(ControllerSettings())


def test_it_is_served_and_steered(proxy: str, tiny_model: str, tmp_path: Path) -> None:
    catalog = EmbeddedServer(str(tmp_path))
    catalog.start()
    try:
        engine = {"model_path": tiny_model, "dtype": "float32", "device_tokens": 1536}
        values = {"engine": engine, "catalog": {"url": catalog.url}}
        serve.run(build(values), name="scalesim", route_prefix="/")
        with httpx.Client(base_url=proxy, timeout=60) as client:
            body = {"model": "scalesim", "prompt": words(1), "max_tokens": 3}
            for found in ("miss", "device"):
                answer = client.post("/v1/completions", json=body, headers={"X-Agent-Id": "a"})
                assert answer.headers["x-scalesim-residency"] == found
            report = {"epoch": 1, "ids": ["a"], "distances": [0.0]}
            assert client.post("/v1/simulations/town/distances", json=report).status_code == 200
            assert client.get("/v1/status").json()["simulations"]["town"]["epoch"] == 1
            with client.stream("POST", "/v1/completions", json=body | {"stream": True}) as pieces:
                assert "[DONE]" in pieces.read().decode()
    finally:
        catalog.stop()
