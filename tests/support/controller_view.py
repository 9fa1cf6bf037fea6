"""What a controller knows, as tests look at it: nothing can be changed by looking."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalesim.controller.core import Controller
from scalesim.controller.payload_table import PayloadTable
from scalesim.controller.replicas import Replicas
from scalesim.controller.simulations import Simulations


class TableView:
    """A payload table whose columns cannot be written to."""

    def __init__(self, table: PayloadTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._table, name)
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
        return value


class ControllerView(NamedTuple):
    """The parts of a controller's state."""

    table: Any
    simulations: Simulations
    replicas: Replicas


def inside(controller: Controller) -> ControllerView:
    """Return a view of a controller as it is now and will be."""
    table, simulations, replicas = controller.state
    return ControllerView(TableView(table), simulations, replicas)
