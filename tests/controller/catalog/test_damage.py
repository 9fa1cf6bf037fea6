"""Whatever is found in the catalog, the controller starts, and what was there is kept aside."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from scalesim.controller.actor import remembering
from scalesim.controller.catalog.decoding import DamagedError, read_head, read_names, read_rows
from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.rows import ROW, CatalogNames, CatalogSnapshot, Packed
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.controller.catalog_flusher import CatalogFlusher
from scalesim.controller.core import Controller
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import Tier
from tests.support.controller_view import inside
from tests.support.controller_world import (
    FakeReplica,
    ManualClock,
    keys,
    make_controller,
    report,
    saved,
    settle,
)
from tests.support.table_integrity import check_integrity

HEAD, NAMES, AGENTS = (f"{{scalesim}}:{name}" for name in ("head", "names", "agents"))


def names(**changed: Any) -> bytes:
    good = {
        "kinds": ["prefix"],
        "replicas": ["r1"],
        "simulations": ["-", "town"],
        "epochs": [0.0, 5.0],
    }
    return json.dumps({**good, **changed}).encode()


def rewritten(client: redis.Redis, **columns: Any) -> None:
    """Write every row with other values, under its own field."""
    for field, value in client.hgetall(AGENTS).items():
        row = np.frombuffer(value, ROW).copy()
        for name, value in columns.items():
            row[name] = value
        client.hset(AGENTS, field, row.tobytes())


def flags(client: redis.Redis) -> None:
    for field, value in client.hgetall(AGENTS).items():
        client.hset(AGENTS, field, value[:-1] + b"\x07")


Damage = Callable[[redis.Redis], object]

DAMAGES: dict[str, Damage] = {
    "head: words": lambda c: c.set(HEAD, "abc"),
    "head: empty": lambda c: c.set(HEAD, ""),
    "head: three parts": lambda c: c.set(HEAD, "1:2:3"),
    "head: negative": lambda c: c.set(HEAD, "-1:2"),
    "head: absurd": lambda c: c.set(HEAD, f"{10**40}:1"),
    "head: not text": lambda c: c.set(HEAD, b"\xff\xfe:1"),
    "head: a list": lambda c: (c.delete(HEAD), c.rpush(HEAD, "1:2")),
    "head: gone": lambda c: c.delete(HEAD),
    "names: no JSON": lambda c: c.set(NAMES, "{"),
    "names: not UTF-8": lambda c: c.set(NAMES, b'{"kinds": ["\xff"]}'),
    "names: a number": lambda c: c.set(NAMES, "7"),
    "names: fields missing": lambda c: c.set(NAMES, '{"kinds": ["prefix"]}'),
    "names: numbers for names": lambda c: c.set(NAMES, names(replicas=[1])),
    "names: other kinds first": lambda c: c.set(NAMES, names(kinds=["adapter", "prefix"])),
    "names: no kinds": lambda c: c.set(NAMES, names(kinds=[])),
    "names: twice": lambda c: c.set(NAMES, names(replicas=["r1", "r1"])),
    "names: NaN": lambda c: c.set(NAMES, names(epochs=[0.0, float("nan")])),
    "names: an epoch short": lambda c: c.set(NAMES, names(epochs=[0.0])),
    "names: negative epoch": lambda c: c.set(NAMES, names(epochs=[0.0, -1.0])),
    "names: too many": lambda c: c.set(
        NAMES, names(simulations=["-", *map(str, range(5000))], epochs=[0.0] * 5001)
    ),
    "names: too many replicas": lambda c: c.set(NAMES, names(replicas=[*map(str, range(40_000))])),
    "names: a hash": lambda c: (c.delete(NAMES), c.hset(NAMES, "a", "b")),
    "names: gone": lambda c: c.delete(NAMES),
    "agents: text": lambda c: (c.delete(AGENTS), c.set(AGENTS, "x")),
    "agents: short rows": lambda c: c.hset(AGENTS, "x", "short"),
    "agents: rows under other names": lambda c: c.hset(
        AGENTS, b"x" * 9, next(iter(c.hgetall(AGENTS).values()))
    ),
    "agents: another replica's number": lambda c: rewritten(c, replica=7),
    "agents: another simulation's number": lambda c: rewritten(c, simulation=4000),
    "agents: negative numbers": lambda c: rewritten(c, replica=-5, simulation=-5),
    "agents: NaN": lambda c: rewritten(c, due=np.nan, last_used=np.nan),
    "agents: negative bytes": lambda c: rewritten(c, total_bytes=-1),
    "agents: absurd bytes": lambda c: rewritten(c, device_bytes=2**62),
    "agents: odd flags": flags,
}


def fill(settings: CatalogSettings) -> None:
    """Write what a controller with five agents and a simulation leaves."""
    controller = make_controller()
    replica = FakeReplica(controller, "r1")
    replica.hold(Tier.HOST, *range(5))
    report(controller, 5, dict.fromkeys(range(5), 1.0))
    settle(controller, replica)
    catalog = Catalog(settings)
    batch = controller.take_dirty()
    assert batch is not None
    assert catalog.write(batch, controller.incarnation) is WriteOutcome.WRITTEN
    catalog.close()


@pytest.fixture
def catalog(server: EmbeddedServer) -> CatalogSettings:
    settings = CatalogSettings(url=SecretStr(server.url), timeout_s=5)
    fill(settings)
    return settings


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_it_starts_and_writes_anew(
    catalog: CatalogSettings, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis.from_url(catalog.url.get_secret_value())
    damage(client)
    store = Catalog(catalog)
    controller = remembering(ControllerSettings(), catalog, store)
    assert "cannot be used" not in caplog.text  # found before it did harm
    check_integrity(controller)
    FakeReplica(controller, "r1").hold(Tier.DEVICE, 1)
    report(controller, 6, {1: 0.0})
    writer = CatalogFlusher(controller, store)
    while controller.status()["dirty_rows"] or not writer.status()["flushes"]:
        await writer.flush()
    assert writer.status()["ok"]
    after = Catalog(catalog)
    snapshot, incarnation = after.load()
    assert snapshot is not None
    assert snapshot.whole
    assert incarnation == controller.incarnation
    assert 1 in snapshot.rows["key"]
    after.close()
    await writer.close()
    client.close()


async def test_what_was_damaged_is_kept_for_some_days(
    catalog: CatalogSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(catalog.url.get_secret_value()) as client:
        client.set(NAMES, "{")
        store = Catalog(catalog)
        assert store.load()[0] is None
        assert client.get("{scalesim}:damaged:names") == b"{"
        assert client.hlen("{scalesim}:damaged:agents") == 5
        assert 0 < client.ttl("{scalesim}:damaged:agents") <= 7 * 24 * 3600
        store.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "the names cannot be read" in caplog.text


@pytest.mark.parametrize("key", ["head", "names", "agents"])
async def test_damage_under_a_running_controller_heals(catalog: CatalogSettings, key: str) -> None:
    store = Catalog(catalog)
    controller = remembering(ControllerSettings(), catalog, store)
    writer = CatalogFlusher(controller, store)
    FakeReplica(controller, "r1").hold(Tier.HOST, *range(5))
    assert await writer.flush()
    with redis.Redis.from_url(catalog.url.get_secret_value()) as client:
        client.delete(f"{{scalesim}}:{key}")
        client.rpush(f"{{scalesim}}:{key}", "nonsense")
        report(controller, 7, {9: 1.0})
        for _ in range(4):
            await writer.flush()
    assert writer.status()["ok"]
    snapshot, _ = store.load()
    assert snapshot is not None
    assert set(snapshot.rows["key"].tolist()) == {*range(5), 9}
    await writer.close()


def test_what_nobody_foresaw_is_set_aside_too(
    catalog: CatalogSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise IndexError("4096 is out of bounds")

    monkeypatch.setattr("scalesim.controller.controller_state.restore", broken)
    store = Catalog(catalog)
    controller = remembering(ControllerSettings(), catalog, store)
    assert controller.status()["agents"]["total"] == 0
    assert "cannot be used" in caplog.text
    assert store.load() == (None, 0)
    store.close()


def test_some_bad_rows_do_not_cost_the_others(catalog: CatalogSettings) -> None:
    with redis.Redis.from_url(catalog.url.get_secret_value()) as client:
        client.hset(AGENTS, "x", "short")
    store = Catalog(catalog)
    snapshot, _ = store.load()
    store.close()
    assert snapshot is not None
    assert not snapshot.whole
    assert sorted(snapshot.rows["key"].tolist()) == list(range(5))


GOOD = saved(make_controller())


def restored(snapshot: CatalogSnapshot) -> Controller:
    return make_controller(ManualClock(), snapshot)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=200))
def test_no_bytes_are_taken_for_what_they_are_not(head: bytes, saved: bytes) -> None:
    for read, value in ((read_head, head), (read_names, saved)):
        try:
            read(value)  # type: ignore[operator]
        except DamagedError:
            continue


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=ROW.itemsize - 1, max_size=ROW.itemsize - 1), max_size=5))
def test_any_rows_leave_a_table_that_adds_up(tails: list[bytes]) -> None:
    known = CatalogNames(("prefix", "adapter"), ("r1", ""), ("-", "town", ""), (0.0, 1.0, 0.0))
    rows = b"".join(b"\x02" + tail for tail in tails)
    found, dropped = read_rows(rows, known)
    assert read_rows(rows + rows, known)[0].tobytes() == found.tobytes()  # a scan may repeat rows
    assert found.size + dropped <= len(tails)
    controller = restored(CatalogSnapshot(found, known))
    check_integrity(controller)


def test_agents_of_a_simulation_that_ended_belong_to_none() -> None:
    controller = make_controller()
    FakeReplica(controller, "r1").hold(Tier.HOST, 1)
    controller.lifecycle("town", pin=keys(1))
    report(controller, 5, {1: 1.0})
    snapshot = saved(controller)
    ended = snapshot.names._replace(simulations=("-", ""))
    again = restored(CatalogSnapshot(snapshot.rows, ended))
    assert again.status()["agents"]["pinned"] == 0
    assert report(again, 1, {1: 2.0}, "next").accepted == 1


def test_a_use_by_a_clock_that_was_ahead_was_just_now() -> None:
    clock = ManualClock()
    controller = make_controller(clock)
    FakeReplica(controller, "r1").hold(Tier.HOST, 1, in_use=True)
    snapshot = saved(controller)
    rows: Packed = snapshot.rows.copy()
    rows["last_used"] = clock.now + 1e6
    again = make_controller(clock, CatalogSnapshot(rows, snapshot.names))
    assert inside(again).table.last_used.max() == clock.now
