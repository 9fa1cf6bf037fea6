"""Tries everything a controller does with its catalog, before it starts."""

from __future__ import annotations

import secrets

import numpy as np

from scalesim.controller.catalog.rows import ROW, SCHEMA, CatalogBatch, CatalogNames, Packed
from scalesim.controller.catalog.store import Catalog, WriteOutcome
from scalesim.controller.simulations import NO_SIMULATION_NAME
from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings
from scalesim.vocabulary import PREFIX

_NAMES = CatalogNames((PREFIX,), ("rehearsal",), (NO_SIMULATION_NAME,), (0.0,))


def rehearse(settings: CatalogSettings) -> None:
    """Write, change, read, set aside and delete rows, under keys that only this call uses.

    They begin like a controller's, `{namespace}:`, so that the same rights are needed for them.

    Raises:
        CatalogUnavailableError: A controller could not keep its catalog there; says why.
        ConfigurationError: The URL is not one of a Redis server.
    """
    catalog = Catalog(settings, part=f":rehearsal-{secrets.token_hex(4)}")
    try:
        catalog.load()
        steps = (_batch((1, 2, 3), rewrite=True), _batch((3, 4), removed=(1,)))
        done = [catalog.write(batch, 1) is WriteOutcome.WRITTEN for batch in steps]
        found, _ = catalog.load()
        if not all(done) or found is None or sorted(found.rows["key"].tolist()) != [2, 3, 4]:
            raise CatalogUnavailableError(
                "the catalog's server does not give back what was written: name the primary of "
                "one server, without a proxy that reads from replicas"
            )
        catalog.move_aside()
    finally:
        try:
            catalog.forget()
        finally:
            catalog.close()


def _batch(
    keys: tuple[int, ...], removed: tuple[int, ...] = (), rewrite: bool = False
) -> CatalogBatch:
    return CatalogBatch(_rows(keys), _rows(removed), _NAMES, rewrite)


def _rows(keys: tuple[int, ...]) -> Packed:
    rows = np.zeros(len(keys), ROW)
    rows["schema"], rows["key"] = SCHEMA, keys
    return rows
