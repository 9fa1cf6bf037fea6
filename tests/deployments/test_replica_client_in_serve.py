"""Calls through the real Serve: what is cancelled ends, what is lost or silent is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import psutil
import pytest
import pytest_asyncio
import ray
from ray import serve
from ray.serve._private.common import DeploymentID
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE
from ray.serve.config import RequestRouterConfig

from scalesim.deployments.rotation import ASK_PERIOD_S, SILENT_S
from scalesim.deployments.stack import HEALTH_PERIOD_S, HEALTH_TIMEOUT_S
from scalesim.errors import SuspectRequestError
from tests.support.serve_without_engine import DEADLINE_S, NoEngine, RequestCaller

pytestmark = [pytest.mark.ray, pytest.mark.asyncio(loop_scope="module")]

APP = "no-engine"
HELD = 16

ENDED_WITHIN_S = 10.0
"""Once nobody waits for a request any more: less than any would run on. That it takes a second on a
machine that is not busy is what `benchmarks.reliability` shows."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def started(ray_local: None) -> AsyncIterator[Any]:
    serve.start(proxy_location="Disabled")
    replicas = NoEngine.options(  # type: ignore[attr-defined]
        num_replicas=2,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=256,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        graceful_shutdown_timeout_s=1,
        request_router_config=RequestRouterConfig(
            request_router_class="scalesim.deployments.router.ResidencyRouter"
        ),
    ).bind()
    caller = RequestCaller.options(ray_actor_options={"num_cpus": 0}).bind(replicas)  # type: ignore[attr-defined]
    run = partial(serve.run, name=APP, route_prefix=None, external_scaler_enabled=True)
    yield await asyncio.to_thread(run, caller)
    await asyncio.to_thread(serve.delete, APP)


@pytest_asyncio.fixture(loop_scope="module")
async def caller(started: Any) -> Any:
    """The caller, once both replicas answer it."""
    await until(lambda: answers(started, 2))
    return started


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = DEADLINE_S) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.05)


async def answers(caller: Any, replicas: int) -> bool:
    return len(await caller.everyone.remote()) == replicas


async def processes(caller: Any) -> dict[str, psutil.Process]:
    answers = await caller.everyone.remote()
    return {name: psutil.Process(pid) for name, (pid, _) in answers.items()}


async def test_whatever_is_left_at_whatever_moment_ends(caller: Any) -> None:
    for _ in range(5):
        await caller.storm.remote(100)

        async def idle() -> bool:
            answers = await caller.everyone.remote()
            # Others of the same question may be counted with one.
            return all(running < 32 for _, running in answers.values())

        await until(idle, ENDED_WITHIN_S)


async def test_a_replica_that_lost_its_engine_is_left_at_once(caller: Any) -> None:
    home, _ = await caller.ask.remote(key=1)
    other, _ = await caller.ask.remote(key=1, do="lose", where=home, verdict="INNOCENT")
    assert other != home
    assert set(await caller.everyone.remote()) == {other}
    await until(lambda: answers(caller, 2))


async def test_the_cause_of_a_loss_is_refused(caller: Any) -> None:
    home, _ = await caller.ask.remote(key=1)
    for _ in range(2):
        with pytest.raises(SuspectRequestError, match="not tried on another engine"):
            await caller.ask.remote(key=1, do="lose", where=home, verdict="CAUSE")
    await until(lambda: answers(caller, 2))


async def scale(replicas: int) -> None:
    """Have Serve run so many, as its autoscaler does."""
    controller = ray.get_actor(SERVE_CONTROLLER_NAME, SERVE_NAMESPACE)
    await controller.update_deployment_replicas.remote(DeploymentID("NoEngine", APP), replicas)


async def test_what_is_in_replicas_that_are_to_go_moves_and_is_no_suspect(caller: Any) -> None:
    """Two of three go at once, before what is in them has ended."""
    await scale(3)
    await until(lambda: answers(caller, 3))
    losses = await caller.losses.remote()
    await caller.hold.remote(HELD)

    async def all_move_into(replicas: int) -> None:
        await scale(replicas)
        counts: list[int] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while len(counts) != replicas or sum(counts) != HELD:
                    running = dict([await caller.ask.remote(key=key) for key in range(32)])
                    counts = [int(first.split()[1]) for first in running.values()]
        except TimeoutError:
            pytest.fail(f"{counts} requests run in replicas, not {HELD} in {replicas} of them")

    try:
        await all_move_into(3)
        await all_move_into(1)
        assert await caller.losses.remote() == losses
    finally:
        await caller.let_go.remote()
        await scale(2)


async def test_a_replica_that_is_killed_is_left_and_replaced(caller: Any) -> None:
    found = await processes(caller)
    (name, process), *_ = found.items()
    waiting = [asyncio.ensure_future(caller.ask.remote(key=key, do="nap")) for key in range(16)]
    await asyncio.sleep(0.5)
    process.kill()
    answered = {name for name, _ in await asyncio.gather(*waiting)}
    assert name not in answered
    await until(lambda: answers(caller, 2))


async def test_a_replica_that_is_stopped_is_out_and_what_waits_for_it_moves(caller: Any) -> None:
    found = await processes(caller)
    (name, process), *_ = found.items()
    process.suspend()
    try:
        started = time.monotonic()
        asked = [caller.ask.remote(key=key) for key in range(16)]
        answered = {name for name, _ in await asyncio.gather(*asked)}
        assert name not in answered
        assert time.monotonic() - started < SILENT_S + ASK_PERIOD_S + 8.0
    finally:
        process.resume()
    await until(lambda: answers(caller, 2))
