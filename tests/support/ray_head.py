"""A Ray cluster of one node, in processes of its own; everything it is asked needs a token."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.free_port import free_port

BIN = Path(sys.executable).parent
TOKEN = "a-token-of-the-tests-0123456789abcdef"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
}
DEADLINE_S = 400.0
_ATTEMPTS = 3


@contextmanager
def ray_head(port: int = 0, **environment: str) -> Iterator[str]:
    """Start a head, at a port, with further environment; yields the address of its dashboard."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=4"]
    command += [f"--dashboard-port={address.rsplit(':')[-1]}"]
    # Their defaults are fixed ports, which another cluster on this machine may have.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    command += [f"--ray-client-server-port={free_port()}"]
    given = ENVIRONMENT | environment
    # Ray gives its own agent 15 s to start, too little for a busy machine: try again.
    for _ in range(_ATTEMPTS):
        with (
            # Its name is short, as Ray puts sockets into it.
            tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
            subprocess.Popen(
                [*command, f"--temp-dir={folder}"], env=given, stdout=subprocess.DEVNULL
            ) as process,
        ):
            try:
                if _lives(process, address):
                    yield address
                    return
            finally:
                process.terminate()
    raise AssertionError(f"the head died {_ATTEMPTS} times at its start")


def _lives(process: subprocess.Popen[bytes], address: str) -> bool:
    until(lambda: _has_node(address) or process.poll() is not None)
    return process.poll() is None


def until(holds: Callable[[], bool]) -> None:
    """Ask again and again, for as long as a loaded machine may need."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _has_node(address: str) -> bool:
    try:
        answer = httpx.get(
            f"{address}/nodes?view=summary", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        nodes = answer.json()["data"]["summary"]
    except (httpx.TransportError, ValueError, KeyError):
        return False
    return any(node["raylet"].get("state") == "ALIVE" for node in nodes)
