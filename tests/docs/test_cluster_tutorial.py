"""The tutorial on clusters, word for word: a stack on Ray, a program beside it and one as a job."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.free_port import free_port
from docs.generate.text import ROOT
from scalesim.deployments.random_model import build
from tests.support.ray_head import ENVIRONMENT, TOKEN, ray_head, until

TUTORIALS = ROOT / "docs/tutorials"
PAGE = (TUTORIALS / "07-a-cluster.md").read_text()
KEY = "a-key-of-the-tests-0123456789"
DONE_S = 400

PROGRAM = """
import openai, scalesim, sys

assert sys.argv[1] == "--agents"
with openai.OpenAI() as client:
    for number in range(int(sys.argv[2])):
        with scalesim.agent(f"villager-{number}"):
            asked = [{"role": "user", "content": f"w{number} w1"}]
            client.chat.completions.create(model="scalesim", messages=asked, max_tokens=2)
"""

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def written(tmp_path: Path) -> dict[str, str]:
    """What stands for the names on the page."""
    (tmp_path / "my_simulation.py").write_text(PROGRAM)
    (world,) = re.findall(
        r"```python\n(.*?)```", (TUTORIALS / "01-a-village.md").read_text(), re.DOTALL
    )
    (tmp_path / "town.py").write_text(world.replace("class Village", "class Town"))
    (file,) = re.findall(r"`key\.yaml` holds `(.*?)`", PAGE)
    (tmp_path / "key.yaml").write_text(file.replace("...", KEY))
    port = free_port()
    model = build(tmp_path / "model", size="tiny")
    return {
        "HEAD:6379": f"127.0.0.1:{free_port()}",
        "HEAD:8080": f"127.0.0.1:{port}",
        "$(openssl rand -hex 24)": KEY,
        "SCALESIM_API_KEY=...": f"SCALESIM_API_KEY={KEY}",
        "/models/llama-3.1-8b": str(model),
        "--replicas 16": "--replicas 1",
        "--host 0.0.0.0": f"--host 0.0.0.0 --port {port} --device cpu --device-tokens 4096",
        "--agents 5000": "--agents 4",
    }


def blocks(written: dict[str, str]) -> list[str]:
    """Return what the page has to be typed."""
    typed = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for there, here in written.items():
        assert any(there in block for block in typed), there
        typed = [block.replace(there, here) for block in typed]
    return typed


@contextmanager
def standing(block: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Type a block whose last command goes on, at a terminal: Ctrl-C counts for it.

    Tests may run where it does not, as after `nohup`, and what is ignored is so for children.
    """
    command = ["bash", "-ec", block]
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, text=True, start_new_session=True
    ) as process:
        signal.signal(signal.SIGINT, former)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_it_goes_as_it_is_written(written: dict[str, str], tmp_path: Path) -> None:
    up, beside, job = blocks(written)
    base_url = f"http://{written['HEAD:8080']}"

    def done(block: str, *more: str) -> str:
        ended = subprocess.run(
            ["bash", "-ec", " ".join([block.strip(), *more])],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=DONE_S,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def answers() -> bool:
        assert stack.poll() is None
        try:
            return httpx.get(f"{base_url}/health").is_success
        except httpx.TransportError:
            return False

    gcs_port = int(written["HEAD:6379"].rpartition(":")[2])
    with ray_head(gcs_port) as jobs, standing(up, tmp_path) as stack:
        until(answers)
        assert httpx.get(f"{base_url}/v1/status").status_code == httpx.codes.UNAUTHORIZED
        said = done(beside)
        assert "100% of calls named" in said
        assert "hot (device)" in said
        out = tmp_path / "out/job"
        run = f"--address {jobs} --steps 2 --workers 1 --out {out}"
        assert "SUCCEEDED" in done(job, run)
        assert (out / "report.html").exists()
        os.killpg(stack.pid, signal.SIGINT)
        assert stack.wait(DONE_S) in (0, -signal.SIGINT, 128 + signal.SIGINT)
        ray = httpx.get(f"{jobs}/api/version", headers={"Authorization": f"Bearer {TOKEN}"})
        assert ray.is_success, "the cluster is left as it was"
