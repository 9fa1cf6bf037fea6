"""Processor time of a request and of a streamed token, in front of the engine: SGLang's and ours.

The same requests go to SGLang's own server and to the stack. What its scheduler and detokenizer
take is left out: it is the same for both. Run: python -m benchmarks.serving.processor_time
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.reliability import parts
from benchmarks.results import write
from benchmarks.serving.overhead import bare_server
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import EngineSettings, IngressSettings, StackSettings

CLIENTS = 64
REQUESTS = 512
TOKENS = 32


class Cost(NamedTuple):
    """What a run of requests took.

    Attributes:
        milliseconds: Of a processor a request, by process or group of processes.
        requests_per_s: Of all clients together.
    """

    milliseconds: tuple[float, ...]
    requests_per_s: float


Groups = Sequence[Sequence[psutil.Process]]


def request(number: int, tokens: int, stream: bool) -> bytes:
    """Return one chat of twenty words, as it goes over the wire."""
    words = " ".join(f"w{(number * 131 + i * 7) % 1000}" for i in range(20))
    body = {
        "model": "scalesim",
        "messages": [{"role": "user", "content": words}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": stream,
        "user": f"agent-{number % 200}",
    }
    encoded = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(encoded)}\r\n\r\n".encode() + encoded


async def ask_in_turn(url: httpx.URL, requests: Sequence[bytes]) -> None:
    """Send requests one after the other on one connection: a client that costs little itself."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for each in requests:
        writer.write(each)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        if b"content-length: " in head:
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        else:
            await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def run(url: str, groups: Groups, tokens: int, stream: bool) -> Cost:
    """Ask by all clients at once; return what it took each group of processes."""
    made = [request(number, tokens, stream) for number in range(REQUESTS)]
    before, began = [_seconds(group) for group in groups], time.perf_counter()
    shares = [made[n::CLIENTS] for n in range(CLIENTS)]
    await asyncio.gather(*(ask_in_turn(httpx.URL(url), share) for share in shares))
    took_s = time.perf_counter() - began
    spent_s = [_seconds(group) - former for group, former in zip(groups, before, strict=True)]
    return Cost(tuple(1e3 * each / REQUESTS for each in spent_s), REQUESTS / took_s)


def _seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def figures(url: str, groups: Groups) -> list[dict[str, Any]]:
    """Return what a plain request and a streamed token cost each group of processes."""
    asyncio.run(run(url, groups, 1, False))  # not counted
    plain = asyncio.run(run(url, groups, 1, False))
    whole = asyncio.run(run(url, groups, TOKENS, False))
    streamed = asyncio.run(run(url, groups, TOKENS, True))
    return [
        {
            "plain_ms": plain.milliseconds[n],
            "whole_ms": whole.milliseconds[n],
            "stream_ms": streamed.milliseconds[n],
            "token_ms": (streamed.milliseconds[n] - plain.milliseconds[n]) / TOKENS,
            "plain_per_s": plain.requests_per_s,
            "stream_per_s": streamed.requests_per_s,
        }
        for n in range(len(groups))
    ]


def bare_process(url: str) -> psutil.Process:
    """Return the process that listens there."""
    port = httpx.URL(url).port
    return next(
        process
        for process in psutil.Process().children(recursive=True)
        for each in process.net_connections("tcp")
        if each.laddr.port == port and each.status == psutil.CONN_LISTEN
    )


def main() -> None:
    """Print one table and write JSON."""
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = str(build(folder, size="tiny"))
        with bare_server(model) as bare:
            (rows["SGLang's server"],) = figures(bare, [[bare_process(bare)]])
        engine = EngineSettings(model_path=model, dtype="float32", device_tokens=8192)
        settings = StackSettings(engine=engine, ingress=IngressSettings(port=0, processes=1))
        with Stack(settings) as stack:
            found = parts.all_of(stack)
            groups = [found["ingress"], found["replica"]]
            rows["ingress"], rows["replica"] = figures(stack.base_url, groups)
    rows["added by the stack"] = {
        name: rows["ingress"][name] + rows["replica"][name] - own
        for name, own in rows["SGLang's server"].items()
        if name.endswith("_ms")
    }
    table = Table("process", *rows["ingress"], title=f"CPU, tiny model, {CLIENTS} clients")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in row.values()))
    Console().print(table)
    write("serving/processor_time", rows)


if __name__ == "__main__":
    main()
