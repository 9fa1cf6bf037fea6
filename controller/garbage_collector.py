"""Removal of payloads that nothing is known of any more."""

from __future__ import annotations

import numpy as np

from scalesim.controller.payload_table import PayloadTable
from scalesim.controller.placements import Placements
from scalesim.controller.simulations import Simulations
from scalesim.controller.snapshot import DirtyRows

_ROWS = 65_536  # looked at at once: under a millisecond


class GarbageCollector:
    """Goes round the table and removes rows without state, distance or pin.

    A row stays until its replica was sent a directive to forget its distance and pin, so that
    nothing of it is left anywhere.
    """

    def __init__(
        self,
        table: PayloadTable,
        simulations: Simulations,
        placements: Placements,
        dirty_rows: DirtyRows,
    ) -> None:
        self._table = table
        self._simulations = simulations
        self._placements = placements
        self._dirty_rows = dirty_rows
        self._next = 0

    def collect(self) -> None:
        """Look at the next rows, some ten thousands of them."""
        table = self._table
        end = min(self._next + _ROWS, table.live.size)
        rows = np.arange(self._next, end)
        self._next = end % table.live.size
        rows = rows[table.live[rows] & np.isinf(table.sent_distance[rows]) & ~table.sent_pin[rows]]
        rows = rows[~table.in_use[rows] & ~table.pinned[rows] & ~table.resident(rows)]
        rows = rows[np.isinf(table.distances(rows, self._simulations.turns))]
        if rows.size:
            self._placements.forget(rows)
            self._dirty_rows.remove(rows)
            table.remove(rows)
