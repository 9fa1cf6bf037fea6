"""The Slurm script, with stand-ins for srun and scontrol: two Ray nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import yaml

from benchmarks.free_port import free_port
from scalesim.deployments.random_model import build
from tests.support.ray_head import BIN, until
from tests.support.simulation_runs import saved_steps
from tests.support.sources import ROOT

SCRIPT = ROOT / "docs" / "operations" / "scalesim.sbatch"
KILL_WAIT_S = 10
"""Between Slurm's SIGTERM and its SIGKILL; 30 by default."""

PROGRAM = """
import json, os, sys, urllib.request
key = {"Authorization": f"Bearer {os.environ['SCALESIM_API_KEY']}"}
request = urllib.request.Request(os.environ["SCALESIM_BASE_URL"] + "/v1/status", headers=key)
status = json.load(urllib.request.urlopen(request, timeout=60))
json.dump([status["replicas"], status["simulations"], sys.argv[1:]], open(os.environ["FOUND"], "w"))
"""

STEPS = 40
TOWN = f"exec scalesim sim run town --agents 4 --steps {STEPS} --workers 2"
TOWN += ' --base-url "$SCALESIM_BASE_URL" --out "$1"'

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]


class SlurmJob:
    """One job of two nodes, the same whenever it is begun."""

    def __init__(self, folder: Path) -> None:
        commands = folder / "bin"
        commands.mkdir()
        _command(commands / "scontrol", "echo 127.0.0.1; echo 127.0.0.1")
        _command(commands / "srun", 'while [[ $1 == --* ]]; do shift; done; exec "$@"')
        model = str(build(folder / "model", size="tiny"))
        disk = {"storage_dir": str(folder / "state"), "storage_bytes": 2**28}
        engine = {"model_path": model, "device": "cpu", "device_tokens": 4096, **disk}
        catalog = {"data_dir": str(folder / "catalog")}
        stack = {"engine": engine, "catalog": catalog, "ingress": {"port": 0}}
        (folder / "stack.yaml").write_text(yaml.safe_dump(stack))
        (folder / "program.py").write_text(PROGRAM)
        self.found, self.out = folder / "found", folder / "out"
        self._words = ["bash", str(SCRIPT), str(folder / "stack.yaml"), "bash", "-c"]
        self._program = f"python {folder / 'program.py'} 'an argument'"
        self._environment = {
            **os.environ,
            "PATH": f"{commands}:{BIN}:{os.environ['PATH']}",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_ID": str(free_port()),
            "FOUND": str(self.found),
        }

    @contextmanager
    def running(self, more: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program that looks at the stack, then does more."""
        self.found.unlink(missing_ok=True)
        command = [*self._words, f"{self._program}; {more}", "-", str(self.out)]
        with subprocess.Popen(
            command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def done(self, more: str) -> tuple[int, str]:
        """Run it to its end; return its exit status and what it printed."""
        with self.running(more) as process:
            printed, _ = process.communicate(timeout=500)
            return process.returncode, printed


@pytest.fixture
def job(tmp_path: Path) -> SlurmJob:
    return SlurmJob(tmp_path)


def test_a_stack_over_all_nodes_and_a_program_beside_it(job: SlurmJob) -> None:
    code, printed = job.done("exit 3")
    assert code == 3, printed
    replicas, _, arguments = json.loads(job.found.read_text())
    assert (len(replicas), arguments) == (1, ["an argument"])


def test_one_that_was_ended_goes_on(job: SlurmJob) -> None:
    """As Slurm does it to a job that is preempted or requeued: two signals to all of it."""
    with job.running(TOWN) as process:
        until(lambda: bool(saved_steps(job.out)) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        _, known, _ = json.loads(job.found.read_text())
        assert "town" not in known
        _end(job)
    after = len(saved_steps(job.out))
    assert after < STEPS

    code, printed = job.done(TOWN)
    assert code == 0, printed
    _, known, _ = json.loads(job.found.read_text())
    assert known["town"]["epoch"] >= 1  # from the catalog on disk
    report = json.loads((job.out / "report.json").read_text())
    details = report["details"]["scalesim"]
    assert 1 <= details["resumed_after_step"] <= after + 1
    steps = [step["step"] for step in details["steps"]]  # those in which agents met
    assert details["resumed_after_step"] < steps[-1] <= STEPS
    assert steps == sorted(set(steps))
    assert report["arms"]["scalesim"]["errors"] == 0


def _end(job: SlurmJob) -> None:
    """End every process of a job, whatever group it is in: Slurm knows them all."""
    for ending in (psutil.Process.terminate, psutil.Process.kill):
        left = list(_processes(job))
        for process in left:
            with suppress(psutil.NoSuchProcess):
                ending(process)
        psutil.wait_procs(left, timeout=KILL_WAIT_S)
    assert list(_processes(job)) == []


def _processes(job: SlurmJob) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("FOUND") == str(job.found):
                yield process


def _command(file: Path, text: str) -> None:
    file.write_text(f"#!/usr/bin/env bash\n{text}\n")
    file.chmod(0o755)
