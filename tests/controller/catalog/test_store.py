import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import redis
from pydantic import SecretStr

from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.rows import ROW, SCHEMA, CatalogBatch, CatalogNames
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.errors import CatalogUnavailableError, ConfigurationError
from scalesim.settings import CatalogSettings

NAMES = CatalogNames(("prefix",), ("r1", "", "r3"), ("-", "town"), (0.0, 7.0))


@pytest.fixture
def catalog(server: EmbeddedServer) -> Iterator[Catalog]:
    catalog = make_catalog(server)
    yield catalog
    catalog.close()


def make_catalog(server: EmbeddedServer, user: str = "", timeout_s: float = 0.25) -> Catalog:
    url = SecretStr(server.url.replace("unix://", f"unix://{user}"))
    return Catalog(CatalogSettings(url=url, timeout_s=timeout_s))


def batch(
    *keys: int, removed: tuple[int, ...] = (), rewrite: bool = False, due: float = 1.0
) -> CatalogBatch:
    def rows(of: tuple[int, ...]) -> np.ndarray:
        packed = np.zeros(len(of), ROW)
        packed["schema"], packed["key"], packed["due"] = SCHEMA, of, due
        return packed

    return CatalogBatch(rows(keys), rows(removed), NAMES, rewrite)


def held(server: EmbeddedServer) -> dict[int, float]:
    catalog = make_catalog(server, timeout_s=10)
    snapshot, _ = catalog.load()
    catalog.close()
    if snapshot is None:
        return {}
    return dict(zip(snapshot.rows["key"].tolist(), snapshot.rows["due"].tolist(), strict=True))


def test_an_empty_server_holds_nothing(catalog: Catalog) -> None:
    assert catalog.load() == (None, 0)


def test_what_was_written_is_read_back(catalog: Catalog, server: EmbeddedServer) -> None:
    assert catalog.write(batch(1, 2, -(2**63), rewrite=True), 5) is WriteOutcome.WRITTEN
    assert catalog.write(batch(2, 4, removed=(1,), due=9.0), 5) is WriteOutcome.WRITTEN
    after = make_catalog(server)
    snapshot, incarnation = after.load()
    after.close()
    assert incarnation == 5
    assert snapshot is not None
    assert snapshot.names == NAMES
    assert held(server) == {2: 9.0, 4: 9.0, -(2**63): 1.0}


@pytest.mark.slow
def test_many_rows_are_read_in_pages(server: EmbeddedServer) -> None:
    catalog = make_catalog(server, timeout_s=10)
    keys = np.random.default_rng(0).integers(-(2**63), 2**63, 25_000).tolist()
    catalog.write(batch(*keys, rewrite=True), 1)
    catalog.close()
    assert set(held(server)) == set(keys)


def test_a_rewrite_throws_the_rest_away(catalog: Catalog, server: EmbeddedServer) -> None:
    catalog.write(batch(1, 2, rewrite=True), 5)
    catalog.write(batch(3, rewrite=True), 5)
    assert set(held(server)) == {3}


def test_a_successor_takes_over_and_the_older_one_stops(
    catalog: Catalog, server: EmbeddedServer
) -> None:
    catalog.write(batch(1, rewrite=True), 5)
    successor = make_catalog(server)
    successor.load()
    assert successor.write(batch(2), 6) is WriteOutcome.WRITTEN
    assert catalog.write(batch(3), 5) is WriteOutcome.SUPERSEDED
    assert catalog.write(batch(3, rewrite=True), 5) is WriteOutcome.SUPERSEDED
    assert set(held(server)) == {1, 2}
    successor.close()


def test_a_server_that_was_emptied_is_noticed(catalog: Catalog, server: EmbeddedServer) -> None:
    catalog.write(batch(1, rewrite=True), 5)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    assert catalog.write(batch(2), 5) is WriteOutcome.LOST
    assert held(server) == {}
    assert catalog.write(batch(1, 2, rewrite=True), 5) is WriteOutcome.WRITTEN
    assert set(held(server)) == {1, 2}


def test_a_server_that_went_back_in_time_is_noticed(
    catalog: Catalog, server: EmbeddedServer
) -> None:
    catalog.write(batch(1, rewrite=True), 5)
    with redis.Redis.from_url(server.url) as client:
        before = client.get("{scalesim}:head")
        catalog.write(batch(2), 5)
        client.set("{scalesim}:head", before)
    assert catalog.write(batch(3), 5) is WriteOutcome.LOST


def test_a_server_that_hangs_fails_in_time_and_heals(
    catalog: Catalog, server: EmbeddedServer
) -> None:
    catalog.write(batch(1, rewrite=True), 5)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(CatalogUnavailableError, match="the catalog did not answer"):
        catalog.write(batch(2), 5)
    os.kill(server.pid, signal.SIGCONT)
    assert catalog.write(batch(2), 5) is WriteOutcome.WRITTEN
    assert set(held(server)) == {1, 2}


def test_a_server_that_is_gone_is_unavailable(server: EmbeddedServer) -> None:
    catalog = make_catalog(server)
    server.stop()
    with pytest.raises(CatalogUnavailableError):
        catalog.load()
    with pytest.raises(CatalogUnavailableError):
        catalog.write(batch(1), 5)


def test_rows_of_another_schema_are_not_read(catalog: Catalog, server: EmbeddedServer) -> None:
    other = batch(1, 2, rewrite=True)
    other.rows["schema"][0] = SCHEMA + 1
    catalog.write(other, 5)
    with redis.Redis.from_url(server.url) as client:
        client.hset("{scalesim}:agents", "short", b"\x01")
    assert set(held(server)) == {2}


def test_an_acl_user_is_used(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser(
            "keeper",
            enabled=True,
            passwords=["+secret"],
            keys=["{scalesim}:*"],
            commands=[
                "+watch",
                "+unwatch",
                "+multi",
                "+exec",
                "+get",
                "+set",
                "+del",
                "+hset",
                "+eval",
            ],
        )
    catalog = make_catalog(server, "keeper:secret@")
    assert catalog.write(batch(1, rewrite=True), 5) is WriteOutcome.WRITTEN
    catalog.close()
    stranger = make_catalog(server, "keeper:wrong@")
    with pytest.raises(CatalogUnavailableError) as caught:
        stranger.write(batch(1), 5)
    assert "wrong" not in str(caught.value).replace("username-password pair", "")
    stranger.close()


@pytest.mark.parametrize("url", ["", "http://host", "redis:///x?socket_timeout=no"])
def test_an_address_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"catalog\.url"):
        Catalog(CatalogSettings(url=SecretStr(url)))
