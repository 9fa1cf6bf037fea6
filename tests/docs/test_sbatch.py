"""The Slurm script, with stand-ins for srun and scontrol: two Ray nodes on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from benchmarks.free_port import free_port
from scalesim.deployments.random_model import build
from tests.support.ray_head import BIN

SCRIPT = Path(__file__).parents[2] / "docs" / "operations" / "scalesim.sbatch"

PROGRAM = """
import json, os, sys, urllib.request
key = {"Authorization": f"Bearer {os.environ['SCALESIM_API_KEY']}"}
request = urllib.request.Request(os.environ["SCALESIM_BASE_URL"] + "/v1/status", headers=key)
status = json.load(urllib.request.urlopen(request, timeout=60))
json.dump([len(status["replicas"]), sys.argv[1:]], open(os.environ["FOUND"], "w"))
sys.exit(3)
"""

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(600)]


def test_a_stack_over_all_nodes_and_a_program_beside_it(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    _command(commands / "scontrol", "echo 127.0.0.1; echo 127.0.0.1")
    _command(commands / "srun", 'while [[ $1 == --* ]]; do shift; done; exec "$@"')
    model = str(build(tmp_path / "model", size="tiny"))
    engine = {"model_path": model, "device": "cpu", "device_tokens": 1024}
    stack, program, found = (tmp_path / name for name in ("stack.yaml", "program.py", "found"))
    stack.write_text(yaml.safe_dump({"engine": engine, "ingress": {"port": 0}}))
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{BIN}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_ID": str(free_port()),
        "FOUND": str(found),
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), str(stack), "python", str(program), "an argument"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert found.read_text() == '[1, ["an argument"]]'


def _command(file: Path, text: str) -> None:
    file.write_text(f"#!/usr/bin/env bash\n{text}\n")
    file.chmod(0o755)
