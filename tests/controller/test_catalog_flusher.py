import os
import signal
from collections.abc import AsyncIterator

import pytest
import redis
from pydantic import SecretStr

from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.rows import CatalogSnapshot
from scalesim.controller.catalog.store import Catalog
from scalesim.controller.catalog_flusher import CatalogFlusher
from scalesim.controller.core import Controller
from scalesim.settings import CatalogSettings
from scalesim.vocabulary import Tier
from tests.support.controller_world import Clock, FakeReplica, keys, make_controller, report, settle
from tests.support.table_integrity import check_integrity


@pytest.fixture
def controller() -> Controller:
    return make_controller()


@pytest.fixture
async def writer(controller: Controller, server: EmbeddedServer) -> AsyncIterator[CatalogFlusher]:
    writer = CatalogFlusher(controller, catalog_of(server))
    yield writer
    await writer.close()


def catalog_of(server: EmbeddedServer) -> Catalog:
    return Catalog(CatalogSettings(url=SecretStr(server.url)))


def remembered(server: EmbeddedServer) -> tuple[CatalogSnapshot, int]:
    catalog = catalog_of(server)
    snapshot, incarnation = catalog.load()
    catalog.close()
    assert snapshot is not None
    return snapshot, incarnation


async def save(writer: CatalogFlusher) -> None:
    while await writer.flush():
        pass


async def test_a_controller_is_rebuilt_from_what_was_written(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer
) -> None:
    replicas = [FakeReplica(controller, name) for name in ("a", "b")]
    report(controller, 7, dict.fromkeys(range(20), 3.0))
    replicas[0].hold(Tier.DEVICE, 1, 2)
    controller.lifecycle("town", pin=keys(1))
    settle(controller, *replicas)
    controller.detach("b")
    await save(writer)

    snapshot, incarnation = remembered(server)
    heir = make_controller(Clock(), snapshot, incarnation)
    check_integrity(heir)
    assert heir.incarnation > controller.incarnation
    for part in ("agents", "simulations"):
        assert heir.status()[part] == controller.status()[part]
    assert set(heir.status()["replicas"]) == {"a"}
    assert heir.poll("a", controller.incarnation, 0).resync


async def test_removed_agents_are_removed_there_too(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer
) -> None:
    report(controller, 1, {1: 1, 2: 1})
    await save(writer)
    report(controller, 1, {1: float("inf")})
    controller.tick()
    await save(writer)
    assert remembered(server)[0].rows["key"].tolist() == [2]


async def test_nothing_new_is_nothing_written(
    controller: Controller, writer: CatalogFlusher
) -> None:
    report(controller, 1, {1: 1})
    await save(writer)
    flushes = writer.status()["flushes"]
    assert not await writer.flush()
    assert writer.status()["flushes"] == flushes == 1
    report(controller, 2, {})
    assert await writer.flush()


async def test_while_redis_hangs_the_newest_state_waits(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer
) -> None:
    report(controller, 1, {1: 1, 2: 1})
    await save(writer)
    os.kill(server.pid, signal.SIGSTOP)
    report(controller, 2, {1: 5, 3: 6})
    assert not await writer.flush()
    status = writer.status()
    assert (status["ok"], status["failures"]) == (False, 1)
    assert status["lag_s"] > 0
    assert "did not answer" in status["error"]
    report(controller, 3, {1: 9})
    os.kill(server.pid, signal.SIGCONT)
    await save(writer)
    assert writer.status()["ok"]
    rows = remembered(server)[0].rows
    due = dict(zip(rows["key"].tolist(), rows["due"].tolist(), strict=True))
    assert due == {1: 12, 2: 2, 3: 8}


async def test_constant_change_is_no_lag(
    controller: Controller, writer: CatalogFlusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("scalesim.controller.catalog_flusher.time.monotonic", lambda: now)
    for epoch in range(1, 20):
        now += 1
        report(controller, epoch, {1: 1})
        assert await writer.flush()
    now += 1
    assert writer.status()["lag_s"] == 1


async def test_a_server_that_comes_back_empty_gets_everything_again(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer
) -> None:
    report(controller, 1, {1: 1, 2: 1})
    await save(writer)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    report(controller, 1, {3: 1})
    assert not await writer.flush()
    assert writer.status()["losses"] == 1
    await save(writer)
    assert sorted(remembered(server)[0].rows["key"].tolist()) == [1, 2, 3]


async def test_an_older_controller_stops_writing(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer
) -> None:
    await save(writer)
    catalog = catalog_of(server)
    snapshot, incarnation = catalog.load()
    heir = make_controller(Clock(), snapshot, incarnation)
    heirs = CatalogFlusher(heir, catalog)
    report(heir, 1, {1: 1})
    await save(heirs)
    report(controller, 1, {2: 1})
    await save(writer)
    assert "newer controller" in writer.status()["error"]
    assert remembered(server)[0].rows["key"].tolist() == [1]
    await heirs.close()


async def test_batches_that_do_not_fit_wait_for_the_next_flush(server: EmbeddedServer) -> None:
    controller = make_controller(flush_rows=10)
    writer = CatalogFlusher(controller, catalog_of(server))
    report(controller, 1, dict.fromkeys(range(25), 1.0))
    await writer.flush()
    assert controller.status()["dirty_rows"] == 15
    await save(writer)
    assert remembered(server)[0].rows.size == 25
    report(controller, 1, dict.fromkeys(range(25), float("inf")))
    batch = controller.take_dirty()
    controller.tick()
    controller.give_back(batch)
    await save(writer)
    assert remembered(server)[0].rows.size == 0
    await writer.close()
