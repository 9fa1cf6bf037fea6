"""`scalesim up --address` and `scalesim down`: a stack on a Ray cluster that runs already."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from ray.cluster_utils import Cluster

from scalesim.deployments.random_model import build
from scalesim.deployments.stack import SERVING
from tests.support.ray_head import BIN
from tests.support.sources import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(600)]

START_S = 300

NODES = """
import sys
from collections import Counter

import ray
from ray._private.state import actors

from scalesim.simulations.agent_nodes import is_loopback
from scalesim.simulations.driver.ray_pool import RayTurnPool, RayWorkers
from tests.support.driver_worlds import HashModel, Walkers

ray.init(sys.argv[1], log_to_driver=False)
for url in ("http://127.0.0.1:8080", "http://10.0.0.5:8080"):
    made_of = RayWorkers(Walkers(4, 1), HashModel, "town", 2, workers=4, here=is_loopback(url))
    workers = RayTurnPool(made_of).actors
    ray.get([each.give.remote([]) for each in workers])
    nodes = Counter(actors(each._actor_id.hex())["Address"]["NodeID"] for each in workers)
    print(*nodes.values(), sep="+")
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a head without CPUs, so that engines are on the other node."""
    with (
        pytest.MonkeyPatch.context() as patch,
        # Ray notes in there which cluster it began last; its name is short, as are sockets in it.
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.delenv("RAY_ADDRESS", raising=False)
        for name in SERVING:
            patch.delenv(name, raising=False)
        nodes = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        nodes.add_node(num_cpus=2)
        yield nodes.address
        nodes.shutdown()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    file = folder / "stack.yaml"
    model = str(build(folder / "model", size="tiny"))
    engine = {"model_path": model, "device": "cpu", "device_tokens": 1024}
    file.write_text(yaml.safe_dump({"engine": engine, "ingress": {"port": 0}}))
    return file


@contextmanager
def up(cluster: str, config: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    command = [str(BIN / "scalesim"), "up", "--config", str(config), "--address", cluster, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            document = "".join(iter(process.stdout.readline, "}\n"))
            url = json.loads(document + "}")["base_url"]
            with httpx.Client(base_url=url, timeout=START_S) as client:
                yield process, client
        finally:
            process.terminate()


def said(*arguments: str) -> dict[str, Any]:
    """Run `scalesim ARGUMENTS --json` and return what it prints."""
    command = [str(BIN / "scalesim"), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def down(cluster: str) -> bool:
    return bool(said("down", "--address", cluster)["ended"])


def ask(client: httpx.Client) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": "w1 w2"}], "max_tokens": 2}
    return client.post("/v1/chat/completions", json=body)


def test_it_serves_with_its_environment_on_every_node_and_leaves_the_cluster(
    cluster: str, config: Path
) -> None:
    with up(cluster, config) as (process, client):
        ask(client).raise_for_status()
        assert len(client.get("/v1/status").json()["replicas"]) == 1
        environments = [
            each.environ()
            for each in psutil.process_iter(["cmdline"])
            if any(
                "ServeReplica:scalesim" in word or "ServeController" in word
                for word in each.info["cmdline"] or ()
            )
        ]
        assert len(environments) >= 3
        assert all(each.items() >= SERVING.items() for each in environments)
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0
    assert not down(cluster)


def test_what_a_killed_one_left_is_ended(cluster: str, config: Path) -> None:
    """By `auto`: the cluster that was begun last, whatever others run on this machine."""
    with up("auto", config) as (process, client):
        ask(client).raise_for_status()
        process.kill()
        process.wait()
    assert down("auto")
    assert not down(cluster)


def test_others_leave_it_alone_and_a_simulation_may_ask_it(
    cluster: str, config: Path, tmp_path: Path
) -> None:
    at = ("--address", cluster)
    world = ("sim", "run", "town", *at, "--agents", "4", "--steps", "2", "--workers", "1")
    with up(cluster, config) as (_, client):
        for arguments in (("sim", "run", "society"), ("up", "--config", str(config))):
            error = said(*arguments, *at)["error"]
            assert error["code"] == "configuration_error"
            assert "has a stack" in error["message"]
        here = ("--base-url", str(client.base_url), "--out", str(tmp_path))
        assert said(*world, *here)["arms"]["scalesim"]["errors"] == 0
        ask(client).raise_for_status()
        assert len(client.get("/v1/status").json()["replicas"]) == 1


def test_agents_are_on_all_nodes_where_these_reach_the_stack(cluster: str) -> None:
    command = [sys.executable, "-c", NODES, cluster]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_S)
    assert done.stdout.split() == ["4", "2+2"], done.stderr


def test_without_a_cluster_it_says_what_to_do(config: Path) -> None:
    error = said("up", "--config", str(config), "--address", "127.0.0.1:9")["error"]
    assert error["code"] == "unavailable"
    assert "ray start --address" in error["message"]
