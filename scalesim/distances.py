"""Estimators: what a simulation knows about itself, as invocation distances.

Each is given what it needs to know (wake times, positions, edges, ...) and answers
`distances(now)`: float32[agents], steps to each agent's next call. `Nearest` composes several::

    wake = scalesim.distances.Wake(agents)
    wake.wake(rows, at)
    town.distances(ids, wake.distances(t))

The classes need numpy alone: no ray, torch or sglang.
"""

from __future__ import annotations

from scalesim.policies.distance.estimator_base import Estimator, Nearest
from scalesim.policies.distance.graph import Diffusion, Workflow
from scalesim.policies.distance.learned import Learned
from scalesim.policies.distance.scheduled import Drawn, HourlyRate, Wake
from scalesim.policies.distance.spatial import Encounters
from scalesim.policies.distance.turn_order import Order, ShuffledStep

__all__ = [
    "Diffusion",
    "Drawn",
    "Encounters",
    "Estimator",
    "HourlyRate",
    "Learned",
    "Nearest",
    "Order",
    "ShuffledStep",
    "Wake",
    "Workflow",
]
