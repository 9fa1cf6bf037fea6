"""`scalesim sim submit` against a real Ray cluster that asks for a token."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.free_port import free_port
from scalesim.deployments.random_model import build
from tests.helm.test_schemas import ALL_MONITORING
from tests.support.chart import render
from tests.support.ray_head import BIN, ENVIRONMENT, ray_head, until
from tests.support.simulation_runs import saved_steps
from tests.support.sources import PRODUCT

JOB = """
import ray

def both():
    import cli, controller, deployments, policies, simulations
    import scalesim.cli.main, scalesim.controller.core, scalesim.deployments.stack
    import scalesim.policies.planner, scalesim.simulations.run_command
    return {each.OWNER for each in (cli, controller, deployments, policies, simulations)}

ray.init()
assert both() == ray.get(ray.remote(both).remote()) == {"the user"}
print("both found")
"""

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    with ray_head() as address:  # its dashboard answers before its agent takes jobs
        until(lambda: submit(address, "--no-wait", "--arms", "fast").returncode == 0)
        yield address


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small run that takes a second a step."""
    folder = tmp_path_factory.mktemp("job")
    model = build(folder / "model", size="tiny")
    sizes = "--agents 6 --active 0.5 --steps 4 --prompt-tokens 64 --output-tokens 2 --think 1"
    machine = "--arms scalesim --device cpu --device-share 0.8"
    out = folder / "out"
    return [*sizes.split(), *machine.split(), "--model", str(model), "--out", str(out)]


def submit(address: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "scalesim"), "sim", "submit", "society", "--json", "--address", address]
    given = ENVIRONMENT | environment
    return subprocess.run([*command, *more], env=given, capture_output=True, text=True)


def plainly(address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ray"), "job", "submit", "--address", address, *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def test_without_the_token_nothing_is_submitted(head: str) -> None:
    done = submit(head, RAY_AUTH_TOKEN="another-token-of-the-same-length-0123")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "invalid_api_key"


def test_without_a_job_server_it_says_what_to_do() -> None:
    done = submit("http://127.0.0.1:9")
    assert json.loads(done.stdout)["error"]["code"] == "unavailable"


@pytest.mark.long
def test_a_job_that_was_killed_goes_on(head: str, arguments: list[str]) -> None:
    """Begun by `scalesim sim submit`, taken up by Ray's own command: they are the same."""
    out = Path(arguments[-1])
    started = submit(head, "--no-wait", "--job-id", "first", *arguments)
    assert json.loads(started.stdout)["job"] == "first", started.stderr
    until(lambda: bool(saved_steps(out)))
    _driver(out).kill()

    done = plainly(head, "--", "python", "-m", "scalesim.simulations", "society", *arguments)
    assert "report:" in done.stdout, done.stdout + done.stderr
    report = json.loads((out / "report.json").read_text())
    details = report["details"]["scalesim"]
    assert 1 <= details["resumed_after_step"] < 4
    assert [step["step"] for step in details["steps"]] == [1, 2, 3, 4]
    assert report["arms"]["scalesim"]["errors"] == 0
    assert not (out / "checkpoint").exists()


@pytest.mark.long
def test_its_stack_is_scraped_where_the_chart_says(head: str, arguments: list[str]) -> None:
    """The command of the chart's RayJob, and the ports of its pods that its PodMonitor names."""
    out = Path(arguments[-1]).with_name("scraped")
    api, controller, replicas = free_port(), free_port(), free_port()
    metrics = {"controller_port": controller, "replica_port": replicas}
    job = {"enabled": True, "outClaim": "out", "args": ["society", *arguments[:-2]]}
    objects = render(
        ALL_MONITORING, {"job": job, "serve": {"port": api}, "stack": {"metrics": metrics}}
    )
    spec = objects["RayJob", "town-scalesim-job"]["spec"]
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    ports = {
        port["name"]: port["containerPort"]
        for group in groups
        for port in group["template"]["spec"]["containers"][0]["ports"]
    }
    endpoints = objects["PodMonitor", "town-scalesim-job"]["spec"]["podMetricsEndpoints"]
    scraped = {each["port"] for each in endpoints} - {"metrics"}  # which is Ray's own
    wanted = {
        "serve": "scalesim_requests_total{",
        "controller": "scalesim_replicas 1.0",
        "replica-0": "scalesim_replica_info{",
    }
    assert scraped == wanted.keys()
    found = set()

    def is_scraped() -> bool:
        for name in scraped - found:
            with suppress(httpx.TransportError):
                if wanted[name] in httpx.get(f"http://127.0.0.1:{ports[name]}/metrics").text:
                    found.add(name)
        return found == scraped or (out / "report.json").exists()

    words = shlex.split(spec["entrypoint"])
    submitted = plainly(head, "--no-wait", "--", *words[:-1], str(out))
    assert submitted.returncode == 0, submitted.stderr
    until(is_scraped)
    assert found == scraped
    until((out / "report.json").exists)


def test_a_job_that_fails_says_so(head: str) -> None:
    done = submit(head, "--arms", "fast")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "job_failed"


def test_folders_of_a_job_s_own_hide_none_of_ours(head: str, tmp_path: Path) -> None:
    """In its driver and in its tasks, which find their own folders too."""
    for part in PRODUCT:
        if part != "scalesim":
            (tmp_path / part).mkdir()
            (tmp_path / part / "__init__.py").write_text("OWNER = 'the user'")
    (tmp_path / "job.py").write_text(JOB)
    done = plainly(head, "--working-dir", str(tmp_path), "--", "python", "job.py")
    assert "both found" in done.stdout, done.stdout + done.stderr


def _driver(out: Path) -> psutil.Process:
    processes = psutil.process_iter(["cmdline"])
    (found,) = (each for each in processes if str(out) in (each.info["cmdline"] or ()))
    return found
