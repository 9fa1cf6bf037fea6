"""Parts of a real stack die, crash and hang under load: what is lost, and that it heals.

`python -m benchmarks.reliability` does all of it for half an hour.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time

import httpx
import psutil
import pytest

from benchmarks.reliability import parts
from benchmarks.reliability.__main__ import KEY
from benchmarks.reliability.faults import named
from benchmarks.reliability.invariants import in_engines
from benchmarks.reliability.run import ENDED_S, Trial
from scalesim.deployments.stack import Stack

pytestmark = [pytest.mark.engine, pytest.mark.ray, pytest.mark.asyncio(loop_scope="module")]

LONG = 400
"""Tokens of an answer that is still being given when its engine crashes."""
DEADLINE_S = 240.0


def body(word: int, tokens: int = 4, **more: object) -> dict[str, object]:
    told = {"messages": [{"role": "user", "content": f"w{word}"}], "model": "scalesim"}
    return {**told, "max_tokens": tokens, "ignore_eos": True, "temperature": 0, **more}


@pytest.fixture
async def http(stack: Stack):  # type: ignore[no-untyped-def]
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=headers, timeout=DEADLINE_S
    ) as client:
        yield client


async def ask(http: httpx.AsyncClient, *args: object, **more: object) -> httpx.Response:
    return await http.post("/v1/chat/completions", json=body(*args, **more))  # type: ignore[arg-type]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["ingress killed", "engine killed", "engine stopped for good"])
async def test_what_a_fault_may_lose_and_that_all_is_as_before(trial: Trial, name: str) -> None:
    fault = named(name)
    outcome = await trial.inject(fault)
    assert outcome.broken == []
    assert outcome.served_s > 0


async def test_after_a_storm_of_aborts_the_engines_run_nothing(http: httpx.AsyncClient) -> None:
    rng = random.Random(0)

    async def leave(word: int) -> None:
        call = http.stream(
            "POST", "/v1/chat/completions", json=body(word, LONG, stream=word % 2 == 1)
        )
        try:
            async with asyncio.timeout(rng.random()), call as answer:
                async for _ in answer.aiter_bytes():
                    if rng.random() < 0.2:
                        return
        except TimeoutError:
            pass

    await asyncio.gather(*(leave(word) for word in range(200)))
    # Answered once all that came before, beginnings and ends, has been worked off: on a busy
    # machine that takes its time.
    after = await asyncio.gather(*(ask(http, word, 1) for word in range(16)))
    assert {answer.status_code for answer in after} == {200}
    ended = time.monotonic()
    while await in_engines(http):
        assert time.monotonic() - ended < ENDED_S


@pytest.mark.timeout(900)
async def test_the_only_request_in_an_engine_that_crashes_costs_no_other_engine(
    http: httpx.AsyncClient, stack: Stack
) -> None:
    replica = (await ask(http, 7)).headers["x-scalesim-replica"]
    crashing = asyncio.create_task(ask(http, 7, LONG))
    while not await in_engines(http):
        await asyncio.sleep(0)
    place = (await http.get("/v1/status")).json()["replicas"][replica]["metrics"]
    engine_of(stack, int(place.rpartition(":")[2])).send_signal(signal.SIGSEGV)
    for answer in (await crashing, await ask(http, 7, LONG), await ask(http, 7, LONG, user="x")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "request_suspected")
    assert (await ask(http, 8)).status_code == 200


def engine_of(stack: Stack, port: int) -> psutil.Process:
    """Return the scheduler of the replica that listens on a port."""
    for replica in parts.of(stack, "replica"):
        if any(each.laddr.port == port for each in replica.net_connections("tcp")):
            return next(p for p in parts.of(stack, "scheduler") if p.ppid() == replica.pid)
    raise AssertionError(f"no replica listens on {port}")
