"""What is seen of a stack from outside is judged as it was."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from benchmarks.reliability import onlookers
from benchmarks.reliability.onlookers import NewConnections, RotationLog, going_on
from scalesim.deployments.ingress_metrics import IngressMetrics, exposition


async def test_connections_that_fail_are_noted_with_their_begin() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = NewConnections(f"http://127.0.0.1:{port}")
    await connections.make()
    assert (connections.made, connections.failed) == (1, [])
    server.close()
    await server.wait_closed()
    await connections.make()
    (begun,) = connections.failed
    assert connections.failed_s(begun - 2.0) == 2.0
    assert connections.failed_s(begun + 1.0) == 0.0


async def test_a_replica_is_out_once_every_process_left_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onlookers, "LOOK_EVERY_S", 0.0)
    processes = {name: IngressMetrics() for name in "ab"}

    def answer(_: httpx.Request) -> httpx.Response:
        shown = [(name, metrics.families()) for name, metrics in processes.items()]
        return httpx.Response(200, text=exposition(shown))

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://stack") as http:
        log = RotationLog(http, replicas=2)
        for counts in ((2, 2), (1, 2), (1, 1), (2, 1)):
            for metrics, count in zip(processes.values(), counts, strict=True):
                metrics.in_rotation.set(count)
            await log.look()
    assert [counts for _, counts in log.seen] == [(2, 2), (1, 2), (1, 1), (2, 1)]
    begun, out = log.seen[0][0], log.seen[2][0]
    assert log.out_s(begun) == out - begun
    assert log.out_s(log.seen[3][0]) is None


async def test_what_fails_while_it_looks_on_is_no_secret() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def look() -> None:
        await asyncio.sleep(0)

    async def onlook() -> None:
        async with going_on(look, fail):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    with pytest.raises(ZeroDivisionError):
        await onlook()
