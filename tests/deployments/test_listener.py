"""The address of a stack is its own, and what came by it is answered."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scalesim.controller.connection_counts import PROCESSES
from scalesim.deployments.listener import Listener
from scalesim.deployments.middleware import ClientGoneError, while_connected
from scalesim.deployments.stack_address import Address, taken
from scalesim.errors import ConfigurationError
from scalesim.settings import IngressSettings

HERE = "127.0.0.1"


class Slow:
    """An app that answers once it may, and notes what became of its work."""

    def __init__(self) -> None:
        self.begun, self.answer, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.cancelled = False
        self.app = Starlette(routes=[Route("/", self._route)])

    async def _route(self, request: Request) -> Response:
        try:
            return Response(await while_connected(request, self._work()))
        except ClientGoneError:
            return Response(status_code=499)
        finally:
            self.ended.set()

    async def _work(self) -> str:
        self.begun.set()
        try:
            await self.answer.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "done"


@asynccontextmanager
async def served(slow: Slow, **more: int) -> AsyncIterator[tuple[Listener, str]]:
    with Address(HERE, 0) as address:
        listener = Listener(slow.app, address.name, IngressSettings(), **more)
        yield listener, f"http://{HERE}:{address.port}"
        await listener.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def test_closing_waits_for_requests_in_flight(client: httpx.AsyncClient) -> None:
    slow = Slow()
    async with served(slow) as (listener, url):
        asked = asyncio.create_task(client.get(url))
        await slow.begun.wait()
        closing = asyncio.create_task(listener.close())
        await asyncio.sleep(0)
        assert listener.is_up
        assert not closing.done()
        slow.answer.set()
        assert (await asked).text == "done"
        await closing
        assert not listener.is_up


async def test_a_request_that_outlasts_the_draining_is_cancelled(client: httpx.AsyncClient) -> None:
    slow = Slow()
    async with served(slow, drain_s=1) as (listener, url):
        asked = asyncio.create_task(client.get(url))
        await slow.begun.wait()
        async with asyncio.timeout(30):
            await listener.close()
            await slow.ended.wait()
        assert slow.cancelled
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_client_that_goes_away_cancels_its_request(client: httpx.AsyncClient) -> None:
    slow = Slow()
    async with served(slow) as (_, url):
        asked = asyncio.create_task(client.get(url))
        await slow.begun.wait()
        asked.cancel()
        async with asyncio.timeout(30):
            await slow.ended.wait()
    assert slow.cancelled


async def test_what_connects_while_nobody_listens_is_answered_by_the_next(
    client: httpx.AsyncClient,
) -> None:
    slow = Slow()
    slow.answer.set()
    with Address(HERE, 0) as address:
        url = f"http://{HERE}:{address.port}"
        early = asyncio.create_task(client.get(url))
        first = Listener(slow.app, address.name, IngressSettings())
        assert (await early).text == "done"
        await first.close()
        between = asyncio.create_task(client.get(url))
        await asyncio.sleep(0)
        second = Listener(slow.app, address.name, IngressSettings())
        assert (await between).text == "done"
        await second.close()


async def test_two_listeners_share_one_address(client: httpx.AsyncClient) -> None:
    slow = Slow()
    slow.answer.set()
    with Address(HERE, 0) as address:
        both = [Listener(slow.app, address.name, IngressSettings()) for _ in range(2)]
        await both[0].close()
        assert (await client.get(f"http://{HERE}:{address.port}")).text == "done"
        await both[1].close()


def test_a_port_that_was_held_can_be_had_again() -> None:
    with Address(HERE, 0) as address:
        port = address.port
    with Address(HERE, port) as same:
        assert same.port == port


def test_a_port_that_is_held_is_refused() -> None:
    with Address(HERE, 0) as address, pytest.raises(ConfigurationError, match="stop what has it"):
        Address(HERE, address.port)


def test_an_address_that_is_closed_is_handed_to_nobody() -> None:
    with Address(HERE, 0) as address:
        taken(address.name).close()
    address.close()
    with pytest.raises(ConnectionRefusedError):
        taken(address.name)


async def test_limits_hold_for_all_listeners_together_and_a_lost_one_counts_no_more() -> None:
    settings = IngressSettings(max_connections=4, max_connections_per_address=3)
    slow = Slow()
    slow.answer.set()
    with Address(HERE, 0) as address:
        both = [Listener(slow.app, address.name, settings) for _ in range(2)]
        onlooker, lost = taken(address.name), taken(address.name)
        counts = onlooker.counts
        for _ in range(3):
            lost.counts.add(HERE)  # as one does that was killed with them
        refused = await ask(address.port)
        assert refused.startswith(b"HTTP/1.1 503 ")
        await until(lambda: counts.total == 3)
        lost.close()
        # Another thread takes them back, a row of the table is not cleared in one piece.
        await until(lambda: counts.total == 0 and counts.of(HERE) == 0)
        assert (await ask(address.port)).startswith(b"HTTP/1.1 200 ")
        onlooker.close()
        for listener in both:
            await listener.close()


async def test_connections_that_come_together_are_shared_out() -> None:
    async def own_name(request: Request) -> Response:
        return Response(request.app.state.name)

    with Address(HERE, 0) as address:
        waiting = [await asyncio.open_connection(HERE, address.port) for _ in range(20)]
        onlooker = taken(address.name)  # one that takes none keeps nobody waiting
        both = []
        for name in ("first", "second"):
            app = Starlette(routes=[Route("/", own_name)])
            app.state.name = name
            both.append(Listener(app, address.name, IngressSettings()))
        answers = [await said(*each) for each in waiting]
        first, second = (
            sum(name in answer for answer in answers) for name in (b"first", b"second")
        )
        assert sorted((first, second)) in ([10, 10], [9, 11])
        onlooker.close()
        for listener in both:
            await listener.close()


def test_one_that_could_not_have_an_address_keeps_it_from_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more_files(*_: object) -> bytes:
        monkeypatch.undo()
        raise OSError("too many open files")

    with Address(HERE, 0) as address:
        monkeypatch.setattr(socket.socket, "getsockopt", no_more_files)
        with pytest.raises(OSError, match="another user's"):
            taken(address.name)
        taken(address.name).close()


def test_a_row_is_given_again_once_its_process_is_gone() -> None:
    with Address(HERE, 0) as address:
        held = [taken(address.name) for _ in range(PROCESSES)]
        with pytest.raises(OSError, match="did not hand over"):
            taken(address.name)
        held.pop(3).close()
        while True:  # the stack sees it a moment later
            with suppress(OSError):
                held.append(taken(address.name))
                break
        for each in held:
            each.close()


async def ask(port: int) -> bytes:
    return await said(*await asyncio.open_connection(HERE, port))


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Return what is answered on a connection, which ends with it."""
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0)
