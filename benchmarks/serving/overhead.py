"""What the stack adds to a request: the same prompts to SGLang's own server and to ours, in turn.

Run: python -m benchmarks.serving.overhead
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import EngineSettings, IngressSettings, StackSettings

PAIRS = 200
BODY = {
    "model": "scalesim",
    "messages": [{"role": "user", "content": " ".join(f"w{i}" for i in range(100))}],
    "max_tokens": 1,
    "temperature": 0,
}


@contextmanager
def bare_server(model: str) -> Iterator[str]:
    """SGLang's own HTTP server in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.serving.bare_server", model]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as Ray gives its actors
    process = subprocess.Popen(  # noqa: S603
        [*command, str(port)], env=one_thread, stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/health", timeout=30).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        else:
            raise TimeoutError(f"SGLang's server on {url} did not answer in two minutes")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def ask(client: httpx.Client) -> float:
    """Return the seconds of one request."""
    started = time.perf_counter()
    client.post("/v1/chat/completions", json=BODY).raise_for_status()
    return time.perf_counter() - started


def main() -> None:
    """Print one table and write JSON."""
    with (
        tempfile.TemporaryDirectory() as folder,
        bare_server(str(build(folder, size="tiny"))) as bare,
    ):
        settings = StackSettings(
            engine=EngineSettings(model_path=folder, dtype="float32", device_tokens=8192),
            ingress=IngressSettings(port=0),
        )
        with Stack(settings) as stack:
            clients = [httpx.Client(base_url=url, timeout=60) for url in (bare, stack.base_url)]
            for client in clients * 10:
                ask(client)
            taken = np.array([[ask(client) for client in clients] for _ in range(PAIRS)])
    p50, p95 = 1e3 * np.median(taken, axis=0), 1e3 * np.quantile(taken, 0.95, axis=0)
    figures = {
        "sglang_p50_ms": p50[0],
        "stack_p50_ms": p50[1],
        "added_p50_ms": 1e3 * float(np.median(taken[:, 1] - taken[:, 0])),
        "sglang_p95_ms": p95[0],
        "stack_p95_ms": p95[1],
        "ratio_p50": p50[1] / p50[0],
    }
    table = Table("one request at a time", "ms", title="CPU, tiny model, 1 token")
    for name, value in figures.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)
    write("serving/overhead", {name: round(float(value), 3) for name, value in figures.items()})


if __name__ == "__main__":
    main()
