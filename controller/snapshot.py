"""Between the payload table and the catalog's packed rows."""

from __future__ import annotations

import numpy as np

from scalesim.controller.catalog.rows import (
    ROW,
    SCHEMA,
    CatalogBatch,
    CatalogNames,
    CatalogSnapshot,
    Packed,
)
from scalesim.controller.interner import FREE
from scalesim.controller.key_index import MISSING, Rows
from scalesim.controller.payload_table import PayloadTable
from scalesim.controller.replicas import Replicas
from scalesim.controller.simulations import NO_SIMULATION_NAME, Simulations

_COLUMNS = [name for name in ROW.names or () if name not in ("schema", "kind", "key")]


def pack(table: PayloadTable, rows: Rows) -> Packed:
    """Return `ROW`[n], a copy of payloads."""
    packed = np.zeros(rows.size, ROW)
    packed["schema"] = SCHEMA
    for name in ("kind", "key", *_COLUMNS):
        packed[name] = getattr(table, name)[rows]
    return packed


def restore(table: PayloadTable, snapshot: CatalogSnapshot, now: float) -> None:
    """Add the payloads of a snapshot to an empty table.

    Those of a simulation that ended while they were written belong to no simulation, as if all of
    it had been written. A use after `now`, by a clock that was ahead, was just now.
    """
    for kind in range(len(table.kinds)):
        packed = snapshot.rows[snapshot.rows["kind"] == kind]
        packed = packed[np.argsort(packed["replica"], kind="stable")]
        packed = packed[table.find(kind, np.ascontiguousarray(packed["key"])) == MISSING]
        rows = table.add(kind, np.ascontiguousarray(packed["key"]))
        for name in _COLUMNS:
            getattr(table, name)[rows] = packed[name]
    ownerless = [name in (FREE, NO_SIMULATION_NAME) for name in snapshot.names.simulations]
    orphans = np.flatnonzero(np.array(ownerless, np.bool_)[table.simulation])
    table.reset(orphans, "simulation", "due", "expires", "pinned")
    table.last_used[:] = np.minimum(table.last_used, now)
    table.regroup()


def names(table: PayloadTable, simulations: Simulations, replicas: Replicas) -> CatalogNames:
    """Return what the numbers in rows stand for now."""
    return CatalogNames(
        kinds=tuple(table.kinds),
        replicas=tuple(replicas.numbers),
        simulations=tuple(simulations.names),
        epochs=tuple(simulations.epochs[: len(simulations.names)].tolist()),
    )


class DirtyRows:
    """What the catalog does not know yet: rows marked in the table, and those removed from it.

    The newest state of a row wins, so the marks need no more memory however long Redis is away.

    Args:
        table: Payload table; `dirty` is cleared here.
        limit: Rows a batch; of removed rows no more are kept, then all is written again.
        rewrite: The catalog holds nothing of this table yet.
    """

    def __init__(self, table: PayloadTable, limit: int, *, rewrite: bool) -> None:
        self._table = table
        self._limit = limit
        self._removed = np.zeros(0, ROW)
        self._rewrite = rewrite
        self._names: CatalogNames | None = None
        self._next = 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._table.dirty)) + self._removed.size

    def remove(self, rows: Rows) -> None:
        """Note rows that are about to be removed from the table."""
        self._note_removed(pack(self._table, rows))

    def take(self, names: CatalogNames, limit: int | None = None) -> CatalogBatch | None:
        """Return the next batch and take it as saved until `give_back`; None where all is saved.

        Rows have their turn in order, so that those that change all the time keep no others back.
        """
        dirty = np.flatnonzero(self._table.dirty)
        rows = np.roll(dirty, -int(np.searchsorted(dirty, self._next)))
        rows = rows[: self._limit if limit is None else min(limit, self._limit)]
        if rows.size:
            self._next = int(rows[-1]) + 1
        if not (rows.size or self._removed.size or self._rewrite or names != self._names):
            return None
        batch = CatalogBatch(pack(self._table, rows), self._removed, names, self._rewrite)
        self._table.dirty[rows] = False
        self._removed, self._rewrite, self._names = self._removed[:0], False, names
        return batch

    def give_back(self, batch: CatalogBatch) -> None:
        """Mark a batch that could not be written; newer state of its rows is kept."""
        self._rewrite |= batch.rewrite
        self._names = None
        self._note_removed(batch.removed)
        for kind in range(len(self._table.kinds)):
            keys = np.ascontiguousarray(batch.rows["key"][batch.rows["kind"] == kind])
            rows = self._table.find(kind, keys)
            self._table.dirty[rows[rows != MISSING]] = True

    def start_over(self) -> None:
        """Mark all rows as dirty: the catalog lost what it had."""
        self._removed, self._rewrite = self._removed[:0], True
        self._table.dirty[self._table.live] = True

    def _note_removed(self, packed: Packed) -> None:
        self._removed = np.concatenate([self._removed, packed])
        if self._removed.size > self._limit:
            self.start_over()
