"""The network to the catalog's server loses everything for a while, and delivers it late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from scalesim.controller.catalog.embedded import EmbeddedServer
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings
from tests.controller.catalog.test_store import batch, held, make_catalog
from tests.support.held_network import HeldNetwork

pytestmark = pytest.mark.slow  # each waits for a timeout that a busy server keeps within


@pytest.fixture
def network(server: EmbeddedServer, tmp_path: Path) -> Iterator[HeldNetwork]:
    network = HeldNetwork(Path(server.url.removeprefix("unix://")), tmp_path)
    yield network
    network.close()


@pytest.fixture
def catalog(network: HeldNetwork) -> Iterator[Catalog]:
    url = SecretStr(f"unix://{network.path}")
    catalog = Catalog(CatalogSettings(url=url, retries=0, timeout_s=1.0))
    yield catalog
    catalog.close()


@pytest.mark.parametrize(
    ("at", "answers"),
    [(b"", False), (b"WATCH", False), (b"MULTI", False), (b"QUEUED", True)],
    ids=["idle", "before it is read", "before it is written", "before it is answered"],
)
def test_a_partition_fails_in_time_and_what_comes_late_undoes_nothing(
    catalog: Catalog, network: HeldNetwork, server: EmbeddedServer, at: bytes, answers: bool
) -> None:
    assert catalog.write(batch(1, rewrite=True), 5) is WriteOutcome.WRITTEN
    network.hold(at, answers=answers)
    with pytest.raises(CatalogUnavailableError, match="did not answer"):
        catalog.write(batch(2, due=2.0), 5)
    assert network.held.is_set()
    network.release()
    write_on(catalog)
    assert held(server) == {1: 1.0, 2: 9.0, 3: 9.0}
    assert catalog.write(batch(4), 5) is WriteOutcome.WRITTEN


def write_on(catalog: Catalog) -> None:
    """Write what was kept, newer by now, until it is there: as `CatalogFlusher` does."""
    while True:
        with suppress(CatalogUnavailableError):  # a busy server is late by itself
            if catalog.write(batch(2, 3, due=9.0), 5) is not WriteOutcome.LOST:
                return
            catalog.write(batch(1, rewrite=True), 5)


def test_a_controller_that_was_cut_off_writes_nothing_over_its_successor(
    catalog: Catalog, network: HeldNetwork, server: EmbeddedServer
) -> None:
    assert catalog.write(batch(1, rewrite=True), 5) is WriteOutcome.WRITTEN
    network.hold(b"MULTI")
    with pytest.raises(CatalogUnavailableError):
        catalog.write(batch(1, due=2.0), 5)
    successor = make_catalog(server)
    successor.load()
    assert successor.write(batch(1, due=9.0, rewrite=True), 6) is WriteOutcome.WRITTEN
    successor.close()
    network.release()
    assert catalog.write(batch(1, due=3.0), 5) is WriteOutcome.SUPERSEDED
    assert held(server) == {1: 9.0}
