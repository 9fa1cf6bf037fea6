"""The real thing: Ray, Valkey and a controller that is killed."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
import ray
import redis
from ray.actor import ActorHandle

from benchmarks.free_port import free_port
from scalesim.controller import actor
from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.store import Catalog
from scalesim.deployments.remote import RemoteController
from scalesim.errors import (
    ConfigurationError,
    ControllerUnavailableError,
    InvalidRequestError,
    StaleControllerError,
    StaleEpochError,
)
from scalesim.identity import agent_key
from scalesim.settings import MetricsSettings, StackSettings, load
from scalesim.vocabulary import PREFIX, Budgets, Directives, ReplicaInfo, Tier
from tests.support.controller_world import SIZE, keys, residency, steps

pytestmark = pytest.mark.ray

A, B = agent_key("town", "a"), agent_key("town", "b")
INFO = ReplicaInfo("r", Budgets(SIZE, 10 * SIZE, 0), (PREFIX,))


@pytest.fixture
def settings(server: EmbeddedServer) -> StackSettings:
    catalog = {"url": server.url, "flush_interval_s": 0.01}
    made: StackSettings = load(
        StackSettings, {"engine": {"model_path": "none"}, "catalog": catalog}
    )
    return made


@pytest.fixture
def controller(ray_local: None, settings: StackSettings) -> Iterator[ActorHandle]:
    yield actor.start(settings)
    actor.stop(settings.controller)


def poll(controller: ActorHandle, incarnation: int, acked: int) -> Directives:
    while True:
        directives = ray.get(controller.poll.remote("r", incarnation, acked))
        if directives is not None:
            return directives


def wait_until(controller: ActorHandle, holds: Callable[[dict[str, Any]], bool]) -> None:
    while not holds(ray.get(controller.status.remote(), timeout=30)):
        pass


def test_a_report_becomes_directives(controller: ActorHandle, settings: StackSettings) -> None:
    incarnation = ray.get(controller.attach.remote(INFO))
    waiting = controller.poll.remote("r", incarnation, 0)
    ack = ray.get(controller.report.remote("town", 1, keys(A, B), steps(3, 1)))
    assert ack == (1, 2, 0)
    first = ray.get(waiting)
    assert first.incarnation == incarnation
    assert dict(
        zip(first.distance_updates[0].keys, first.distance_updates[0].distances, strict=True)
    ) == {
        A: 3,
        B: 1,
    }
    message = residency({A: Tier.HOST, B: Tier.HOST})
    ray.get(controller.update.remote("r", incarnation, (message,)))
    second = poll(controller, incarnation, first.sequence)
    assert second.moves[0].keys.tolist() == [B]
    assert ray.get(controller.agent.remote("town", "b"))["residency"] == "host"
    assert "scalesim_agents" in ray.get(controller.metrics.remote())
    assert actor.start(settings) == actor.connect(settings.controller) == controller


async def test_other_settings_take_the_place_of_the_old_and_lose_nothing(
    controller: ActorHandle, settings: StackSettings
) -> None:
    remote = RemoteController(partial(actor.connect, settings.controller), settings.controller)
    incarnation = await _once_found(partial(remote.attach, INFO))
    await remote.report("town", 3, keys(A, B), steps(3, 1))
    await remote.lifecycle("town", keys(A), keys(), keys())
    polling = asyncio.create_task(_poll_on(remote, incarnation))
    quotas = settings.controller.model_copy(update={"quotas": {"town": 0.5}})
    changed = settings.model_copy(update={"controller": quotas})
    new = await asyncio.to_thread(actor.start, changed)
    assert new != controller
    assert await asyncio.to_thread(actor.start, changed) == new
    with pytest.raises(ControllerUnavailableError):
        await polling
    status = await _once_found(remote.status)
    assert status["simulations"]["town"]["epoch"] == 3
    assert status["agents"]["pinned"] == 1
    known = await remote.agent("town", "b")
    assert known["distance"] == 1
    assert await remote.attach(INFO._replace(seen_incarnation=incarnation)) > incarnation


async def _once_found(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return the answer of a controller that is just starting."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except ControllerUnavailableError:
                await asyncio.sleep(0.05)  # as every loop does


async def _poll_on(remote: RemoteController, incarnation: int) -> None:
    acked = 0
    while True:
        directives = await remote.poll("r", incarnation, acked)
        acked = directives.sequence if directives else acked


def test_a_poll_without_news_ends(controller: ActorHandle) -> None:
    incarnation = ray.get(controller.attach.remote(INFO))
    assert ray.get(controller.poll.remote("r", incarnation, 0, 0.01)) is None
    version = ray.get(controller.placements.remote(0)).version
    delta = ray.get(controller.placements.remote(version, 0.01))
    assert (delta.version, delta.full, delta.keys.size) == (version, False, 0)


def test_placements_are_sent_as_soon_as_they_change(controller: ActorHandle) -> None:
    delta = ray.get(controller.placements.remote(0))
    assert delta.replicas == ()
    waiting = controller.placements.remote(delta.version)
    ray.get(controller.attach.remote(INFO))
    delta = ray.get(waiting)
    assert (delta.replicas, delta.full) == (("r",), True)
    ray.get(controller.detach.remote("r"))
    assert ray.get(controller.placements.remote(delta.version)).replicas == ()


def test_errors_keep_their_type_and_field(controller: ActorHandle) -> None:
    ray.get(controller.report.remote("town", 2, keys(A), steps(1)))
    with pytest.raises(StaleEpochError) as stale:
        ray.get(controller.report.remote("town", 1, keys(A), steps(1)))
    assert stale.value.field == "epoch"
    with pytest.raises(InvalidRequestError) as invalid:
        ray.get(controller.report.remote("town", 2, keys(A), np.ones(1)))
    assert invalid.value.field == "distances"
    with pytest.raises(StaleControllerError):
        ray.get(controller.update.remote("r", 1, ()))
    ray.get(controller.end.remote("town"))
    ray.get(controller.report.remote("town", 0, keys(A), steps(1)))


@pytest.mark.parametrize("damage", ["{scalesim}:head", "{scalesim}:names", "{scalesim}:agents"])
def test_a_killed_controller_comes_back_whatever_the_catalog_holds(
    controller: ActorHandle, settings: StackSettings, damage: str
) -> None:
    ray.get(controller.report.remote("town", 5, keys(A, B), steps(3, 1)))
    wait_until(controller, lambda status: status["catalog"]["rows"] >= 2)
    before = ray.get(controller.status.remote())["incarnation"]
    with redis.Redis.from_url(settings.catalog.url.get_secret_value()) as client:
        # The controller writes meanwhile; whatever it finds at its start, it starts.
        ray.kill(controller, no_restart=False)
        client.delete(damage)
        client.rpush(damage, "nonsense")
    wait_until(controller, lambda status: status["incarnation"] > before)
    ray.get(controller.report.remote("town", 6, keys(A), steps(3)), timeout=30)
    wait_until(
        controller, lambda status: status["catalog"]["ok"] and status["catalog"]["flushes"] > 0
    )


def test_a_catalog_that_is_killed_heals(
    controller: ActorHandle, server: EmbeddedServer, settings: StackSettings
) -> None:
    ray.get(controller.report.remote("town", 5, keys(A), steps(3)))
    wait_until(controller, lambda status: status["catalog"]["rows"] >= 1)
    os.kill(server.pid, signal.SIGKILL)
    ray.get(controller.report.remote("town", 6, keys(A, B), steps(3, 1)))
    wait_until(
        controller, lambda status: status["catalog"]["ok"] and status["catalog"]["rows"] >= 3
    )
    store = Catalog(settings.catalog)
    snapshot, _ = store.load()
    store.close()
    assert snapshot is not None
    assert set(snapshot.rows["key"].tolist()) == {A, B}


def test_a_killed_controller_comes_back_with_what_it_knew(controller: ActorHandle) -> None:
    incarnation = ray.get(controller.attach.remote(INFO))
    ray.get(controller.report.remote("town", 5, keys(A, B), steps(3, 1)))
    ray.get(controller.lifecycle.remote("town", keys(A), keys(), keys()))
    message = residency({A: Tier.HOST, B: Tier.HOST})
    ray.get(controller.update.remote("r", incarnation, (message,)))
    before = poll(controller, incarnation, 0)
    wait_until(
        controller, lambda status: status["dirty_rows"] == 0 and status["catalog"]["rows"] > 0
    )

    ray.kill(controller, no_restart=False)
    while not (resync := poll(controller, incarnation, before.sequence)).resync:
        pass  # the kill is on its way
    assert resync.incarnation > incarnation
    status = ray.get(controller.status.remote())
    assert status["simulations"]["town"]["epoch"] == 5
    assert (status["agents"]["host"], status["agents"]["pinned"]) == (2, 1)
    with pytest.raises(StaleControllerError, match="attach again"):
        ray.get(controller.update.remote("r", incarnation, (message,)))

    heir = ray.get(controller.attach.remote(INFO._replace(seen_incarnation=incarnation)))
    assert heir == resync.incarnation
    ray.get(controller.update.remote("r", heir, (message,)))
    sent: dict[int, float] = {}
    acked = before.sequence
    while set(sent) != {A, B}:
        directives = poll(controller, heir, acked)
        acked = directives.sequence
        for push in directives.distance_updates:
            sent |= dict(zip(push.keys.tolist(), push.distances.tolist(), strict=True))
    assert sent == {A: 3, B: 1}


def test_it_is_scraped_by_itself_also_after_a_kill(
    ray_local: None, settings: StackSettings
) -> None:
    port = free_port()
    metrics = MetricsSettings(controller_port=port)
    where = f"http://127.0.0.1:{port}/metrics"
    controller = actor.start(settings.model_copy(update={"metrics": metrics}))
    try:
        status = ray.get(controller.status.remote())
        assert status["metrics"] == f"127.0.0.1:{port}"
        assert "scalesim_agents" in httpx.get(where).text
        assert ray.get(controller.metrics.remote()) == "", "served twice"
        ray.kill(controller, no_restart=False)
        wait_until(controller, lambda heir: heir["incarnation"] > status["incarnation"])
        assert "scalesim_agents" in httpx.get(where).text
    finally:
        actor.stop(settings.controller)
    with pytest.raises(httpx.ConnectError):
        httpx.get(where)


def test_without_redis_the_controller_goes_on_and_starts(
    controller: ActorHandle, server: EmbeddedServer
) -> None:
    server.stop()
    ray.get(controller.report.remote("town", 1, keys(A), steps(3)))
    wait_until(controller, lambda status: not status["catalog"]["ok"])
    assert ray.get(controller.agent.remote("town", "a"))["distance"] == 3
    ray.kill(controller, no_restart=False)
    assert ray.get(controller.attach.remote(INFO)) > 0
    assert ray.get(controller.report.remote("town", 1, keys(A), steps(3))).accepted == 1


def test_hundreds_of_polls_are_held_open(controller: ActorHandle) -> None:
    incarnation = ray.get(controller.attach.remote(INFO))
    polls = [controller.poll.remote("r", incarnation, 0) for _ in range(300)]
    ray.get(controller.report.remote("town", 1, keys(A), steps(3)))
    sequences = {directives.sequence for directives in ray.get(polls)}
    assert len(sequences) == 1


def test_no_controller_is_a_clear_error(ray_local: None, settings: StackSettings) -> None:
    with pytest.raises(ControllerUnavailableError, match="scalesim up"):
        actor.connect(settings.controller)
    actor.stop(settings.controller)


def test_a_controller_needs_a_catalog(settings: StackSettings) -> None:
    nameless = settings.model_copy(update={"catalog": load(type(settings.catalog), {})})
    with pytest.raises(ConfigurationError, match="start a server with"):
        actor.start(nameless)


def test_an_address_that_is_none_is_named_to_who_starts_it(settings: StackSettings) -> None:
    odd = load(type(settings.catalog), {"url": "redis://:hid#den@host"})
    with pytest.raises(ConfigurationError, match="%23") as caught:
        actor.start(settings.model_copy(update={"catalog": odd}))
    assert "hid" not in str(caught.value)


def test_calls_do_not_need_ray(server: EmbeddedServer, settings: StackSettings) -> None:
    """The actor is a plain class: all of it runs in any event loop."""

    async def run() -> None:
        plain = actor.ControllerActor.__new__(actor.ControllerActor)
        await plain.__init__(settings.controller, settings.catalog)
        incarnation = await plain.attach(INFO)
        waiting = asyncio.create_task(plain.poll("r", incarnation, 0))
        await plain.report("town", 1, keys(A), steps(3))
        directives = await waiting
        assert directives.distance_updates[0].keys.tolist() == [A]
        await plain.shutdown()

    asyncio.run(run())
