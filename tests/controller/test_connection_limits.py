"""No client takes more of a listener than its share; over real sockets."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import msgspec
import pytest
from starlette.types import Message, Receive, Scope, Send

from scalesim.controller import connection_limits
from scalesim.controller.connection_limits import ConnectionLimits, LimitedProtocol

HERE = "127.0.0.1"
LIMITS = ConnectionLimits(
    header_bytes=4096,
    body_bytes=2**20,
    header_s=30,
    body_s=30,
    connections=50,
    connections_per_address=40,
)
SHORT_S = 0.3
SLOW = 2000
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


class App:
    """Answers with the length of the body; a stream without end under `/stream`."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_read, self.gone = asyncio.Event(), asyncio.Event()
        self.may_read.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await send_later(send, {"type": "http.response.start", "status": 200}, scope["path"])
        if scope["path"] == "/stream":
            while not self.gone.is_set():
                body = {"type": "http.response.body", "body": bytes(65536), "more_body": True}
                await asyncio.gather(send(body), asyncio.sleep(0))
                waiting = asyncio.ensure_future(receive())
                done, _ = await asyncio.wait([waiting], timeout=0)
                if done and waiting.result()["type"] == "http.disconnect":
                    self.gone.set()
                waiting.cancel()
            return
        await self.may_read.wait()
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return
            size += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(size).encode()})


async def send_later(send: Send, message: Message, path: str) -> None:
    if path == "/stream":
        await send(message)


@dataclass
class LimitedServer:
    app: App
    port: int
    protocol: type[LimitedProtocol]

    async def connect(
        self, sent: bytes = b"", address: str = HERE
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HERE, self.port, local_addr=(address, 0))
        writer.write(sent)
        return reader, writer

    async def answer(self, sent: bytes = GET, address: str = HERE) -> tuple[int, bytes]:
        """Return status and body of what is answered before the connection is closed."""
        reader, writer = await self.connect(sent, address)
        return parsed(await closing(reader, writer))


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


def parsed(answer: bytes) -> tuple[int, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@asynccontextmanager
async def serving(limits: ConnectionLimits = LIMITS) -> AsyncIterator[LimitedServer]:
    app = App()
    made = connection_limits.server(app, limits, drain_s=1)
    protocol: type[LimitedProtocol] = made.config.http  # type: ignore[assignment]
    with socket.socket() as listening:
        listening.bind((HERE, 0))
        listening.listen(2048)
        task = asyncio.create_task(made.serve([listening]))
        yield LimitedServer(app, listening.getsockname()[1], protocol)
        made.should_exit = True
        await task
    async with asyncio.timeout(30):
        while protocol.counts.total:  # everything that was counted is counted off
            await asyncio.sleep(0)


async def test_requests_within_the_limits_are_answered_on_one_connection() -> None:
    async with serving() as server, httpx.AsyncClient(base_url=f"http://{HERE}:{server.port}") as c:
        for size in (0, 1000, LIMITS.body_bytes):
            answer = await c.post("/", content=bytes(size))
            assert (answer.status_code, answer.text) == (200, str(size))
        assert server.protocol.counts.total == 1


@pytest.mark.parametrize(
    "sent",
    [b"", b"\r\n", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x", GET[:-2]],
    ids=["nothing", "blank", "letter", "line", "header", "almost"],
)
async def test_headers_that_do_not_come_are_not_waited_for(sent: bytes) -> None:
    async with serving(replace(LIMITS, header_s=SHORT_S)) as server:
        status, body = await server.answer(sent)
        assert (status, server.app.asked) == (408, 0)
        assert msgspec.json.decode(body)["error"]["code"] == "request_timeout"


async def test_headers_that_drip_are_not_waited_for() -> None:
    async with serving(replace(LIMITS, header_s=SHORT_S)) as server:
        reader, writer = await server.connect(b"GET / HTTP/1.1\r\n")

        async def drip() -> None:
            while not reader.at_eof():
                writer.write(b"X-A: 1\r\n")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert parsed(await closing(reader, writer))[0] == 408
        dripping.cancel()


async def test_a_second_request_that_does_not_come_is_not_waited_for() -> None:
    async with serving(replace(LIMITS, header_s=SHORT_S)) as server:
        reader, writer = await server.connect(GET)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")  # ends the time of an idle connection, begins no request
        assert b"HTTP/1.1 408" in await closing(reader, writer)


@pytest.mark.parametrize(
    "more",
    [b"X: " + b"a" * 10_000, b"".join(b"X-%d: 1\r\n" % n for n in range(1000)), b"a" * 10_000],
    ids=["one", "many", "no end of a name"],
)
@pytest.mark.parametrize("end", [b"\r\n\r\n", b""])
async def test_headers_that_are_too_large_are_refused(more: bytes, end: bytes) -> None:
    async with serving() as server:
        status, _ = await server.answer(b"GET / HTTP/1.1\r\nHost: x\r\n" + more + end)
        assert (status in (400, 431), server.app.asked) == (True, 0)


async def test_an_address_that_is_too_long_is_refused() -> None:
    async with serving() as server:
        status, _ = await server.answer(b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n")
        assert (status, server.app.asked) == (431, 0)


async def test_headers_behind_a_body_are_bounded_too() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    async with serving(replace(LIMITS, body_bytes=1024)) as server:
        assert (await server.answer(chunked + b"a" * 100_000))[0] == 413
        assert (await server.answer(chunked + b"a" * 5000 + b"\r\n\r\n"))[0] == 431


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with serving(replace(LIMITS, body_s=SHORT_S)) as server:
        assert (await server.answer(POST + b"a"))[0] == 408
        async with asyncio.timeout(30):
            await server.app.gone.wait()


async def test_who_waits_for_us_to_read_is_not_late() -> None:
    async with serving(replace(LIMITS, body_s=SHORT_S)) as server:
        server.app.may_read.clear()
        url, loop = f"http://{HERE}:{server.port}", asyncio.get_running_loop()
        loop.call_later(3 * SHORT_S, server.app.may_read.set)
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(url, content=bytes(LIMITS.body_bytes))
        assert answer.text == str(LIMITS.body_bytes)


async def test_a_client_that_does_not_read_on_is_let_go() -> None:
    async with serving(replace(LIMITS, body_s=SHORT_S)) as server:
        _, writer = await server.connect(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(30):
            await server.app.gone.wait()
        writer.transport.abort()


async def test_more_connections_than_there_may_be_are_refused() -> None:
    limits = replace(LIMITS, connections=3, connections_per_address=3)
    async with serving(limits) as server:
        held = [await server.connect() for _ in range(3)]
        status, body = await server.answer()
        assert (status, server.app.asked) == (503, 0)
        assert msgspec.json.decode(body)["error"]["type"] == "server_error"
        held.pop()[1].close()
        assert (await retried(server))[0] == 200
        for _, writer in held:
            writer.close()


async def test_one_too_many_is_refused_as_such_however_late_it_asks() -> None:
    limits = replace(LIMITS, connections=1, header_s=SHORT_S)
    async with serving(limits) as server:
        _, held = await server.connect()
        status, body = await server.answer(b"")
        assert (status, server.app.asked) == (503, 0)
        assert msgspec.json.decode(body)["error"]["code"] == "service_unavailable"
        held.close()


async def test_one_address_leaves_room_for_others() -> None:
    limits = replace(LIMITS, connections_per_address=3)
    async with serving(limits) as server:
        held = [await server.connect() for _ in range(3)]
        assert (await server.answer())[0] == 503
        closing_get = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await server.answer(closing_get, "127.0.0.2"))[0] == 200
        for _, writer in held:
            writer.close()


async def test_refused_connections_are_bounded_too() -> None:
    limits = replace(LIMITS, connections=1)
    async with serving(limits) as server:
        # All wait before the first is taken: none of those that are answered has gone by then.
        held = [socket.create_connection((HERE, server.port)) for _ in range(400)]
        for each in held:
            each.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            dropped = [await loop.sock_recv(each, 1024) for each in held[300:]]
        assert dropped == [b""] * 100
        for each in held:
            each.close()


async def retried(server: LimitedServer) -> tuple[int, bytes]:
    closing_get = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(30):
        while (answer := await server.answer(closing_get))[0] == 503:
            pass
    return answer


@pytest.fixture
def many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3 * SLOW and hard < 3 * SLOW:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * SLOW), hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
async def test_normal_clients_are_served_beside_two_thousand_slow_ones() -> None:
    """Slow ones: silent, in their headers, in their body; a tenth of them too many."""
    room = SLOW * 9 // 10
    limits = ConnectionLimits(
        4096, 2**20, 300, 300, connections=2 * SLOW, connections_per_address=room
    )
    kinds = (b"", b"GET / HTTP/1.1\r\nHo", POST + b"a")
    async with serving(limits) as server:
        slow = [socket.create_connection((HERE, server.port)) for _ in range(SLOW)]
        for number, client in enumerate(slow):
            client.send(kinds[number % len(kinds)])
        async with asyncio.timeout(60):
            while server.protocol.counts.of(HERE) < room:
                await asyncio.sleep(0)
        local = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(transport=local, timeout=60) as normal:
            answers = [await normal.get(f"http://{HERE}:{server.port}") for _ in range(100)]
        assert {answer.status_code for answer in answers} == {200}
        assert (await server.answer())[0] == 503
        for client in slow:
            client.close()
