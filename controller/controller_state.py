"""What a controller knows, at first: nothing, or what a catalog remembers."""

from __future__ import annotations

from typing import NamedTuple

from scalesim.controller.catalog.rows import CatalogSnapshot
from scalesim.controller.interner import Interner
from scalesim.controller.payload_table import PayloadTable
from scalesim.controller.replicas import Replicas
from scalesim.controller.simulations import Simulations
from scalesim.controller.snapshot import restore
from scalesim.settings import ControllerSettings


class ControllerState(NamedTuple):
    """Payloads by row, and the simulations and replicas that rows name by number."""

    table: PayloadTable
    simulations: Simulations
    replicas: Replicas


def remembered(
    snapshot: CatalogSnapshot | None, settings: ControllerSettings, now: float
) -> ControllerState:
    """Return the state of a controller that starts.

    Args:
        snapshot: What the catalog remembers of the one before; None where there is none.
        settings: Leases and limits.
        now: Seconds since 1970.
    """
    if snapshot is None:
        return ControllerState(PayloadTable(), Simulations(settings, now=now), Replicas(now=now))
    saved = snapshot.names
    table = PayloadTable(Interner(saved.kinds))
    simulations = Simulations(settings, saved.simulations, saved.epochs, now)
    restore(table, snapshot, now)
    return ControllerState(table, simulations, Replicas(saved.replicas, now))
