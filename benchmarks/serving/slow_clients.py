"""What 2,000 slow clients take from a normal one: its requests without and beside them.

Slow ones connect and say nothing, stop in their headers, stop in their body, or ask and do not
read; whoever is let go comes back at once. Run: python -m benchmarks.serving.slow_clients
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import tempfile
from contextlib import suppress
from multiprocessing.synchronize import Event
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from benchmarks.serving.overhead import ask
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import EngineSettings, IngressSettings, StackSettings

SLOW = 2000
REQUESTS = 200
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
KINDS = (
    b"",
    _HEAD,
    _HEAD + b"Content-Length: 1000\r\n\r\n{",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
)


def keep_connections(port: int, all_there: Event, ending: Event, made: Any) -> None:
    """Keep as many connections open as are wanted; whoever is let go comes back."""
    with selectors.DefaultSelector() as selector:
        while not ending.is_set():
            for _ in range(SLOW - len(selector.get_map())):
                selector.register(_connect(port, made.value), selectors.EVENT_READ)
                made.value += 1
            all_there.set()
            for key, _ in selector.select(0.1):
                with suppress(OSError):
                    if key.fileobj.recv(65536):  # type: ignore[union-attr]
                        continue
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def _connect(port: int, number: int) -> socket.socket:
    # From another address than the normal client.
    made = socket.create_connection(("127.0.0.1", port), 60, ("127.0.0.2", 0))
    made.send(KINDS[number % len(KINDS)])
    return made


class SlowClients:
    """Runs `keep_connections` in a process of its own, away from the client that is timed."""

    def __init__(self, port: int) -> None:
        apart = multiprocessing.get_context("spawn")
        self._ending, self._all_there = apart.Event(), apart.Event()
        self._made = apart.Value("q", 0)
        arguments = (port, self._all_there, self._ending, self._made)
        self._process = apart.Process(target=keep_connections, args=arguments)

    @property
    def made(self) -> int:
        """Connections so far."""
        return int(self._made.value)

    def __enter__(self) -> SlowClients:
        self._process.start()
        self._all_there.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._process.join()


def main() -> None:
    """Print one table and write JSON."""
    with tempfile.TemporaryDirectory() as folder:
        settings = StackSettings(
            engine=EngineSettings(
                model_path=str(build(folder, size="tiny")), dtype="float32", device_tokens=8192
            ),
            ingress=IngressSettings(port=0, header_timeout_s=5, body_timeout_s=5),
        )
        with Stack(settings) as stack, httpx.Client(base_url=stack.base_url, timeout=60) as client:
            for _ in range(20):
                ask(client)
            alone = np.array([ask(client) for _ in range(REQUESTS)])
            with SlowClients(httpx.URL(stack.base_url).port or 0) as slow:
                beside = np.array([ask(client) for _ in range(REQUESTS)])
    figures = {
        "alone_p50_ms": 1e3 * float(np.median(alone)),
        "beside_p50_ms": 1e3 * float(np.median(beside)),
        "ratio_p50": float(np.median(beside) / np.median(alone)),
        "alone_p95_ms": 1e3 * float(np.quantile(alone, 0.95)),
        "beside_p95_ms": 1e3 * float(np.quantile(beside, 0.95)),
        "answered": len(beside),
        "slow_connections": slow.made,
    }
    table = Table(f"one normal client beside {SLOW} slow ones", "", title="CPU, tiny model")
    for name, value in figures.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)
    write("serving/slow_clients", {name: round(value, 3) for name, value in figures.items()})


if __name__ == "__main__":
    main()
