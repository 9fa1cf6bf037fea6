"""What a controller knows, to be read and not to be changed: no test looks inside by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalesim.controller.core import Controller
from scalesim.controller.leveling import Leveling
from scalesim.controller.replicas import Replicas
from scalesim.controller.simulations import Simulations


class TableView:
    """A payload table whose columns cannot be written to."""

    def __init__(self, table: Any) -> None:
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
    """The parts of a controller."""

    table: Any
    replicas: Replicas
    simulations: Simulations
    leveling: Leveling


def inside(controller: Controller) -> ControllerView:
    """Return a view of a controller as it is now and will be."""
    return ControllerView(
        TableView(controller._table),
        controller._replicas,
        controller._simulations,
        controller._leveling,
    )
