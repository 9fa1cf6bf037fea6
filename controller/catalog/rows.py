"""What the catalog keeps: packed rows and the names that their numbers stand for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SCHEMA = 2
"""Version byte of a row; rows of another version are not read."""

ROW = np.dtype(
    [
        ("schema", "u1"),
        ("kind", "i1"),
        ("key", "<i8"),
        ("simulation", "<i4"),
        ("replica", "<i2"),
        ("due", "<f8"),
        ("expires", "<f8"),
        ("total_bytes", "<i8"),
        ("device_bytes", "<i8"),
        ("host_bytes", "<i8"),
        ("storage_bytes", "<i8"),
        ("last_used", "<f8"),
        ("pinned", "?"),
        ("assigned", "?"),
        ("exceptional", "?"),
    ]
)
"""One payload, 83 bytes. Its first bytes but the schema, kind and key, are its name in Redis."""

FIELD = slice(1, 10)
"""Where a packed row holds its own field name: kind and key."""

Packed = NDArray[np.void]


class CatalogNames(NamedTuple):
    """Names in the order of their numbers, and the epoch of each simulation."""

    kinds: tuple[str, ...]
    replicas: tuple[str, ...]
    simulations: tuple[str, ...]
    epochs: tuple[float, ...]


class CatalogBatch(NamedTuple):
    """What one flush writes.

    Attributes:
        rows: `ROW`[n], the newest state of payloads.
        removed: `ROW`[n], payloads that are gone; only kind and key count.
        names: All names as of now.
        rewrite: Everything written before is to be thrown away first.
    """

    rows: Packed
    removed: Packed
    names: CatalogNames
    rewrite: bool


class CatalogSnapshot(NamedTuple):
    """What the catalog held when it was read: a hint, as replicas know better.

    Attributes:
        rows: `ROW`[n].
        names: What the numbers in `rows` stand for.
        whole: Nothing was left out that made no sense; else all is to be written again.
    """

    rows: Packed
    names: CatalogNames
    whole: bool = True
