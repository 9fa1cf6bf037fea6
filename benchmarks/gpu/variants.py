"""The arms: stock SGLang, its HiCache, ours, and ours with one part taken out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalesim.policies.links import Links
from scalesim.policies.planner import DistancePlanner
from scalesim.policies.planning import Plan, Planner, View
from scalesim.settings import Arm
from scalesim.vocabulary import Budgets


class OrderOnly:
    """Moves nothing ahead: distances only decide who leaves under pressure."""

    def plan(self, view: View, budgets: Budgets, links: Links) -> Plan:
        """Return an empty plan."""
        return Plan(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.uint8))


class Variant(NamedTuple):
    """One arm.

    Attributes:
        engine: How its engine is set up.
        planner: Of its controller.
        reports: Whether the simulation reports distances, or all are learned from the calls.
        about: For the reader of its figures.
    """

    engine: Arm
    about: str
    planner: type[DistancePlanner | OrderOnly] = DistancePlanner
    reports: bool = True

    def new_planner(self) -> Planner:
        """Return a planner for one run."""
        return self.planner()


VARIANTS = {
    "stock": Variant("stock", "SGLang as it is, no host tier"),
    "hicache": Variant("hicache", "SGLang with its host tier, least recently used"),
    "order": Variant("scalesim", "ours without lookahead: eviction order only", OrderOnly),
    "learned": Variant("scalesim", "ours with no distance reported", reports=False),
    "scalesim": Variant("scalesim", "ours"),
}
PEERS = ("stock", "hicache")
