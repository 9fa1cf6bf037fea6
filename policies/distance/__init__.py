"""Estimators: what a simulation knows about itself, as invocation distances.

All follow `scalesim.policies.distance.estimator_base.Estimator`; several are composed by `Nearest`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from scalesim.errors import InvalidRequestError

ESTIMATORS = {
    "wake": "scalesim.policies.distance.scheduled:Wake",
    "drawn": "scalesim.policies.distance.scheduled:Drawn",
    "hourly-rate": "scalesim.policies.distance.scheduled:HourlyRate",
    "encounters": "scalesim.policies.distance.spatial:Encounters",
    "gatherings": "scalesim.policies.distance.spatial:Gatherings",
    "workflow": "scalesim.policies.distance.graph:Workflow",
    "diffusion": "scalesim.policies.distance.graph:Diffusion",
    "order": "scalesim.policies.distance.turn_order:Order",
    "shuffled-step": "scalesim.policies.distance.turn_order:ShuffledStep",
    "learned": "scalesim.policies.distance.learned:Learned",
}
"""Import path of each estimator by name; imported when asked for."""


def estimator(name: str) -> Any:
    """Return an estimator's class by its name, or by any `module:class` path.

    Raises:
        InvalidRequestError: There is no such name, module or class.
    """
    module, _, attribute = ESTIMATORS.get(name, name).partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise InvalidRequestError(
            f"there is no estimator {name!r}: choose from {', '.join(ESTIMATORS)}, or give an "
            "import path module:class",
            "estimator",
        ) from None
