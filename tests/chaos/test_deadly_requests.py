"""Requests that are left, and requests that engines die of, in a real stack."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import aclosing

import psutil
import pytest

from benchmarks.reliability import parts
from benchmarks.reliability.__main__ import KEY
from benchmarks.reliability.fault_runs import ENDED_S
from benchmarks.reliability.invariants import in_engines
from benchmarks.reliability.load import REQUEST_S
from scalesim.deployments.stack import Stack
from tests.support.stack_client import StackClient

pytestmark = [
    pytest.mark.engine,
    pytest.mark.ray,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
]

LONG = 400
"""Tokens of an answer that is still being given when it is left or its engine crashes."""


def content(word: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"w{word}"}]


async def test_after_a_storm_of_aborts_the_engines_run_nothing(client: StackClient) -> None:
    rng = random.Random(0)

    async def leave(word: int) -> None:
        left_after = rng.random()
        try:
            async with asyncio.timeout(left_after):
                if word % 2:
                    async with aclosing(client.stream(word, LONG)) as pieces:
                        async for _ in pieces:
                            if rng.random() < 0.2:
                                return
                else:
                    await client.ask(word, LONG)
        except TimeoutError:
            pass

    await asyncio.gather(*(leave(word) for word in range(200)))
    # Answered once all that came before, beginnings and ends, has been worked off: on a busy
    # machine that takes its time.
    after = await asyncio.gather(*(client.ask(word, 1) for word in range(16)))
    assert {answer.status_code for answer in after} == {200}
    ended = time.monotonic()
    while await in_engines(client.http):
        assert time.monotonic() - ended < ENDED_S


async def test_the_only_request_in_an_engine_that_crashes_costs_no_other_engine(
    client: StackClient, stack: Stack
) -> None:
    alone = content(7)
    replica = (await client.ask(7, messages=alone)).headers["x-scalesim-replica"]
    crashing = asyncio.create_task(client.ask(7, LONG, messages=alone))
    while not await in_engines(client.http):
        await asyncio.sleep(0)
    place = (await client.status())["replicas"][replica]["metrics"]
    engine_of(stack, int(place.rpartition(":")[2])).send_signal(signal.SIGSEGV)
    again = []
    for user in range(8):  # on a connection of its own each, which either process may take
        other = StackClient(stack, KEY, REQUEST_S)
        async with other.http:
            again.append(await other.ask(7, LONG, messages=alone, user=f"user-{user}"))
    for answer in (await crashing, *again):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "request_suspected")
    assert (await client.ask(8)).status_code == 200


def engine_of(stack: Stack, port: int) -> psutil.Process:
    """Return the scheduler of the replica that listens on a port."""
    for replica in parts.of(stack, "replica"):
        if any(each.laddr.port == port for each in replica.net_connections("tcp")):
            return next(p for p in parts.of(stack, "scheduler") if replica in p.parents())
    raise AssertionError(f"no replica listens on {port}")
