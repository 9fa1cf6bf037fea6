"""The address of a stack is its own, and what came by it is answered."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.edge import ClientGoneError, while_connected
from deployments.listener import Listener, hold
from scalesim.errors import ConfigurationError

HERE = "127.0.0.1"


class Slow:
    """An app that answers once it is told to, and notes what became of its work."""

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
    with hold(HERE, 0) as address:
        port = address.getsockname()[1]
        listener = Listener(slow.app, HERE, port, **more)
        yield listener, f"http://{HERE}:{port}"
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
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


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


def test_a_held_port_is_no_other_users() -> None:
    with (
        hold(HERE, 0) as address,
        socket.socket() as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.bind(address.getsockname())


def test_a_port_that_was_held_can_be_had_again() -> None:
    with hold(HERE, 0) as address:
        port = address.getsockname()[1]
    with hold(HERE, port) as same:
        assert same.getsockname()[1] == port


async def test_a_port_that_is_served_is_refused() -> None:
    async with served(Slow()) as (_, url):
        with pytest.raises(ConfigurationError, match="stop what has it"):
            hold(HERE, int(url.rpartition(":")[2]))
