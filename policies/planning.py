"""The seam between what is known about payloads and what should be done with them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.links import Links
from scalesim.vocabulary import Budgets, Bytes, Distances

Rows = NDArray[np.int64]
"""Dense numbers of agents or payloads, the caller's own."""


class View(NamedTuple):
    """All payloads placed on one replica, one row each, read-only.

    Attributes:
        distance: float32[n], steps to the next use; inf where none is foreseen or it expired.
        last_used: float64[n], seconds on any monotonic clock; breaks ties (older is colder).
        total_bytes: int64[n], bytes when fully resident; 0 where not yet known.
        device_bytes: int64[n], bytes in GPU memory now.
        host_bytes: int64[n], bytes with a host copy now.
        storage_bytes: int64[n], bytes with a storage copy now.
        in_use: bool[n], needed by a running or queued request: must not be moved.
        pinned: bool[n], must stay on the device.
        simulation: int32[n], dense number of the owning simulation, for fair shares.
        kind: int32[n], dense number of the payload kind.
        coming: uint8[n], `Tier` that a fetch was asked for and has not begun; 0 where none is.
        step_s: float64[m], seconds a step takes, by simulation number.
        quota: float64[m], largest share of a tier, up to 1, by simulation number.
    """

    distance: Distances
    last_used: NDArray[np.float64]
    total_bytes: Bytes
    device_bytes: Bytes
    host_bytes: Bytes
    storage_bytes: Bytes
    in_use: NDArray[np.bool_]
    pinned: NDArray[np.bool_]
    simulation: NDArray[np.int32]
    kind: NDArray[np.int32]
    coming: NDArray[np.uint8]
    step_s: NDArray[np.float64]
    quota: NDArray[np.float64]


class Plan(NamedTuple):
    """What to do, in order: room is made before it is filled, nearest first.

    Attributes:
        rows: int64[m], rows of the view.
        verbs: uint8[m], values of `scalesim.vocabulary.Verb`.
        tiers: uint8[m], target `scalesim.vocabulary.Tier`.
    """

    rows: NDArray[np.int64]
    verbs: NDArray[np.uint8]
    tiers: NDArray[np.uint8]


class Planner(Protocol):
    """Turns one replica's payloads and budgets into directives; holds no reference to the view."""

    def plan(self, view: View, budgets: Budgets, links: Links) -> Plan:
        """Return the moves worth making now; may be empty."""
        ...
