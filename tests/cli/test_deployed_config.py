"""`scalesim config` and `serve deploy`: a stack without a process of ours, and its end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from benchmarks.free_port import free_port
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import SERVING
from tests.support.ray_head import BIN, ENVIRONMENT, ray_head, until
from tests.support.valkey_process import valkey

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]

KEY = "key-of-the-nodes"
PASSWORD = "word-of-the-nodes"
SECRETS = {"SCALESIM_API_KEY": KEY, "SCALESIM_CATALOG_PASSWORD": PASSWORD}


def said(*command: str) -> str:
    """Run one of the commands of the page and return what it prints."""
    words = [str(BIN / command[0]), *command[1:]]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def replicas(api: httpx.Client) -> set[str]:
    """Return the engines that are attached; none while nothing answers."""
    try:
        answer = api.get("/v1/status")
    except httpx.TransportError:
        return set()
    return set(answer.json()["replicas"]) if answer.is_success else set()


def test_it_is_deployed_scaled_and_ended(tmp_path: Path) -> None:
    model = str(build(tmp_path / "model", size="tiny"))
    port, head, redis = (free_port() for _ in range(3))
    stack = {
        "engine": {"model_path": model, "device": "cpu", "device_tokens": 1024},
        "engines_per_machine": 2,
        "catalog": {"url": f"redis://127.0.0.1:{redis}/0"},
        "ingress": {"port": port},
    }
    file, deployed = tmp_path / "stack.yaml", tmp_path / "serve.yaml"
    with (
        valkey(tmp_path / "valkey", "--requirepass", PASSWORD, "--save", "", port=redis),
        ray_head(head, **SERVING, **SECRETS) as dashboard,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as api,
    ):

        def deploy(engines: int) -> set[str]:
            file.write_text(yaml.safe_dump(stack | {"replicas": engines}))
            deployed.write_text(said("scalesim", "config", str(file)))
            said("serve", "deploy", "--address", dashboard, str(deployed))
            until(lambda: len(replicas(api)) == engines)
            return replicas(api)

        api.headers["Authorization"] = f"Bearer {KEY}"
        first = deploy(1)
        body = {"prompt": "w1 w2", "max_tokens": 2}
        api.post("/v1/completions", json=body).raise_for_status()
        assert api.get("/v1/status").json()["catalog"]["ok"]
        assert first < deploy(2)
        assert httpx.get(f"{api.base_url}/v1/status").status_code == httpx.codes.UNAUTHORIZED
        end = ("scalesim", "down", "--address", f"127.0.0.1:{head}", "--json")
        assert [json.loads(said(*end))["ended"] for _ in range(2)] == [True, False]
        assert not replicas(api)
