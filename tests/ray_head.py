"""A Ray cluster of one node, in processes of its own; everything it is asked needs a token."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

BIN = Path(sys.executable).parent
TOKEN = "a-token-of-the-tests-0123456789abcdef"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
}
DEADLINE_S = 400.0


@contextmanager
def ray_head(**environment: str) -> Iterator[str]:
    """Start a head with further environment; yields the address of its dashboard."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", "--port=0", "--num-cpus=4"]
    command += [f"--dashboard-port={address.rsplit(':')[-1]}"]
    # Their defaults are fixed ports, which another cluster on this machine may have.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    command += [f"--ray-client-server-port={free_port()}"]
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        # Its name is short: Ray puts sockets into it.
        command += [f"--temp-dir={folder}"]
        with subprocess.Popen(
            command, env=ENVIRONMENT | environment, stdout=subprocess.DEVNULL
        ) as process:
            try:
                until(lambda: _answers(f"{address}/api/version"))
                yield address
            finally:
                process.terminate()


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool]) -> None:
    """Ask again and again, for as long as a loaded machine may need."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code in {200, 401}
    except httpx.TransportError:
        return False
