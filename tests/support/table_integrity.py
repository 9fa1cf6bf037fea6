"""What must hold in a controller at every moment."""

from __future__ import annotations

import numpy as np

from scalesim.controller.core import Controller
from scalesim.controller.payload_table import COLUMNS, NOWHERE
from scalesim.controller.simulations import NO_SIMULATION
from scalesim.policies.placement import rendezvous
from tests.support.controller_view import inside


def check_integrity(controller: Controller) -> None:
    table, simulations, replicas = inside(controller)
    rows = np.flatnonzero(table.live).astype(np.int32)
    assert len(table) == rows.size
    for kind in range(len(table.kinds)):
        of_kind = rows[table.kind[rows] == kind]
        assert np.array_equal(table.find(kind, table.key[of_kind]), of_kind)
    free = ~table.live
    for name, (_, empty) in COLUMNS.items():
        assert (getattr(table, name)[free] == empty).all(), f"a free row holds {name}"

    living = {replica.number: replica for replica in replicas}
    names = replicas.names
    hashed = rendezvous(table.key[rows], names)
    for row, place in zip(rows, hashed, strict=True):
        replica = int(table.replica[row])
        if not living:
            assert replica == NOWHERE
            continue
        home = replicas.get(names[place])
        assert home is not None
        assert replica in living, "an agent lives on a lost replica"
        assert table.exceptional[row] == (replica != home.number)
    for number in living:
        assert set(table.rows_on(number)) == set(rows[table.replica[rows] == number])

    alive = {lease.number for lease in simulations}
    owned = rows[table.simulation[rows] != NO_SIMULATION]
    assert set(table.simulation[owned].tolist()) <= alive, "an agent outlived its simulation"
    held = table.pinned[rows] | np.isfinite(table.due[rows])
    assert (table.simulation[rows[held]] != NO_SIMULATION).all(), "a promise outlived its owner"
    sizes = (table.total_bytes, table.device_bytes, table.host_bytes, table.storage_bytes)
    assert all((size[rows] >= 0).all() for size in sizes)
