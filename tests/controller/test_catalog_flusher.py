import os
import signal
from collections.abc import AsyncIterator

import pytest
import redis
from pydantic import SecretStr

from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.rows import CatalogBatch, CatalogSnapshot
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.controller.catalog_flusher import CatalogFlusher
from scalesim.controller.core import Controller
from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings
from scalesim.vocabulary import Tier
from tests.support.controller_world import (
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    settle,
)
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
    heir = make_controller(ManualClock(), snapshot, incarnation)
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


class FakeSeconds:
    """The monotonic clock of the flushers."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr("scalesim.controller.catalog_flusher.time.monotonic", lambda: self.now)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> FakeSeconds:
    return FakeSeconds(monkeypatch)


class Upgrade:
    """A release that is upgraded without a gap: two controllers, one catalog."""

    def __init__(self, old: Controller, server: EmbeddedServer) -> None:
        self._server = server
        self.new, self.writer = self.heir()
        self.replica = FakeReplica(old, "a")

    def heir(self) -> tuple[Controller, CatalogFlusher]:
        catalog = catalog_of(self._server)
        snapshot, incarnation = catalog.load()
        heir = make_controller(ManualClock(), snapshot, incarnation)
        return heir, CatalogFlusher(heir, catalog)


@pytest.fixture
async def upgrade(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer, seconds: FakeSeconds
) -> AsyncIterator[Upgrade]:
    report(controller, 1, {1: 1})
    await save(writer)
    both = Upgrade(controller, server)
    report(both.new, 2, {2: 1})
    await save(both.writer)
    yield both
    await both.writer.close()


async def test_an_older_controller_stops_writing_and_that_is_no_fault(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer, upgrade: Upgrade
) -> None:
    report(controller, 2, {3: 1})
    await save(writer)
    status = writer.status()
    assert (status["ok"], status["is_owner"], status["lag_s"]) == (True, False, 0.0)
    assert sorted(remembered(server)[0].rows["key"].tolist()) == [1, 2]


async def test_while_the_newer_one_lives_the_older_waits(
    controller: Controller, writer: CatalogFlusher, seconds: FakeSeconds, upgrade: Upgrade
) -> None:
    incarnation = controller.incarnation
    for turn in range(20):  # neither has anything to write
        report(controller, 3, {3: turn})
        await writer.flush()
        await upgrade.writer.flush()
        seconds.now += 5
    assert controller.incarnation == incarnation
    assert not writer.status()["is_owner"]
    assert upgrade.writer.status()["is_owner"]
    assert upgrade.writer.status()["flushes"] == 1


async def test_a_rolled_back_upgrade_gives_the_catalog_back(
    controller: Controller,
    writer: CatalogFlusher,
    server: EmbeddedServer,
    seconds: FakeSeconds,
    upgrade: Upgrade,
) -> None:
    report(controller, 2, {3: 1})
    for _ in range(8):  # the newer one writes no more
        await writer.flush()
        seconds.now += 5
    await save(writer)
    assert writer.status()["is_owner"]
    rows, incarnation = remembered(server)
    assert sorted(rows.rows["key"].tolist()) == [1, 3]
    assert incarnation == controller.incarnation > upgrade.new.incarnation
    settle(controller, upgrade.replica)  # its replicas attach again, and are obeyed
    assert upgrade.replica.incarnation == controller.incarnation
    after, writes = upgrade.heir()
    assert after.incarnation > controller.incarnation
    await writes.close()


async def test_one_that_was_cut_off_and_lost_the_catalog_gets_it_after_the_other(
    controller: Controller, writer: CatalogFlusher, seconds: FakeSeconds, upgrade: Upgrade
) -> None:
    for _ in range(9):
        await writer.flush()
        seconds.now += 5
    assert writer.status()["is_owner"]
    report(upgrade.new, 3, {4: 1})
    await save(upgrade.writer)
    assert not upgrade.writer.status()["is_owner"]
    for _ in range(9):  # the older one ends, as it does after an upgrade
        await upgrade.writer.flush()
        seconds.now += 5
    await save(upgrade.writer)
    assert upgrade.writer.status()["is_owner"]


async def test_a_catalog_that_is_away_while_another_owns_it_proves_nothing(
    writer: CatalogFlusher, server: EmbeddedServer, seconds: FakeSeconds, upgrade: Upgrade
) -> None:
    seconds.now += 5
    await writer.flush()
    os.kill(server.pid, signal.SIGSTOP)
    for _ in range(2):
        seconds.now += 20
        await writer.flush()
    os.kill(server.pid, signal.SIGCONT)
    await upgrade.writer.flush()
    seconds.now += 5
    await writer.flush()
    assert not writer.status()["is_owner"]
    assert writer.status()["ok"]


async def test_a_server_that_was_emptied_is_noticed_without_anything_to_write(
    controller: Controller, writer: CatalogFlusher, server: EmbeddedServer, seconds: FakeSeconds
) -> None:
    report(controller, 1, {1: 1})
    await save(writer)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    seconds.now += 5
    await writer.flush()
    await save(writer)
    assert remembered(server)[0].rows["key"].tolist() == [1]


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


def test_agents_whose_distances_change_all_the_time_keep_no_others_back() -> None:
    controller = make_controller(flush_rows=10)
    written: set[int] = set()
    for step in range(5):
        report(controller, step, dict.fromkeys(range(25), 1.0))
        batch = controller.take_dirty()
        assert batch is not None
        written.update(batch.rows["key"].tolist())
    assert written == set(range(25))


def test_a_use_that_is_due_when_it_was_said_to_be_is_not_written_again() -> None:
    controller = make_controller()
    report(controller, 1, {1: 4.0, 2: 4.0})
    controller.take_dirty()
    report(controller, 2, {1: 3.0, 2: 5.0})
    batch = controller.take_dirty()
    assert batch is not None
    assert batch.rows["key"].tolist() == [2]


async def test_a_server_that_cannot_take_a_whole_batch_in_time_gets_smaller_ones(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = make_controller(flush_rows=1000)
    writer = CatalogFlusher(controller, catalog_of(server))
    write, sizes = Catalog.write, list[int]()

    def slow(catalog: Catalog, batch: CatalogBatch, incarnation: int) -> WriteOutcome:
        sizes.append(batch.rows.size)
        if batch.rows.size > 300:
            raise CatalogUnavailableError("it took too long")
        return write(catalog, batch, incarnation)

    monkeypatch.setattr(Catalog, "write", slow)
    report(controller, 1, dict.fromkeys(range(1500), 1.0))
    while controller.status()["dirty_rows"]:
        await writer.flush()
    assert sizes[:5] == [1000, 500, 250, 312, 156]
    assert remembered(server)[0].rows.size == 1500
    limit = sizes[-2] if sizes[-1] < sizes[-2] else sizes[-1]
    for epoch in range(2, 12):  # batches that are small anyway say nothing of larger ones
        report(controller, epoch, {1: 1.0})
        await writer.flush()
    report(controller, 12, dict.fromkeys(range(1500), 1.0))
    await writer.flush()
    assert sizes[-1] <= limit * 5 // 4
    await writer.close()
