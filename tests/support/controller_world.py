"""A controller with a clock that tests move, and replicas that carry out their directives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.catalog.rows import CatalogSnapshot
from scalesim.controller.core import Controller
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import (
    PREFIX,
    Budgets,
    Directives,
    Keys,
    ReplicaInfo,
    ReportAck,
    Residency,
    Tier,
    Verb,
)

SIZE = 100
"""Bytes of every payload."""


class ManualClock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make_controller(
    clock: ManualClock | None = None,
    snapshot: CatalogSnapshot | None = None,
    saved_incarnation: int = 0,
    flush_rows: int = 20_000,
    **settings: float | dict[str, Any],
) -> Controller:
    return Controller(
        ControllerSettings.model_validate(settings),
        CatalogSettings(flush_rows=flush_rows),
        DistancePlanner(),
        rendezvous,
        snapshot,
        saved_incarnation,
        clock or ManualClock(),
    )


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def steps(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def report(
    controller: Controller, epoch: int, distances: dict[int, float], simulation: str = "town"
) -> ReportAck:
    return controller.report(simulation, epoch, keys(*distances), steps(*distances.values()))


def residency(
    tiers: dict[int, Tier], in_use: frozenset[int] = frozenset(), kind: str = PREFIX
) -> Residency:
    def bytes_in(tier: Tier) -> Keys:
        return keys(*(SIZE if tiers[key] == tier else 0 for key in tiers))

    return Residency(
        kind,
        keys(*tiers),
        bytes_in(Tier.DEVICE),
        bytes_in(Tier.HOST),
        bytes_in(Tier.STORAGE),
        keys(*(SIZE for _ in tiers)),
        np.array([key in in_use for key in tiers], np.bool_),
    )


class FakeReplica:
    """Holds payloads in tiers and carries out directives at once."""

    def __init__(self, controller: Controller, name: str, device: int = 3, host: int = 100) -> None:
        self.controller = controller
        self.info = ReplicaInfo(name, Budgets(device * SIZE, host * SIZE, 0), (PREFIX,))
        self.name = name
        self.acked = 0
        self.tiers: dict[int, Tier] = {}
        self.in_use: set[int] = set()
        self.distances: dict[int, float] = {}
        self.pins: set[int] = set()
        self.attach()

    def attach(self) -> None:
        self.incarnation = self.controller.attach(self.info)
        self.distances, self.pins = {}, set()
        self.send(*self.tiers)

    def hold(self, tier: Tier, *held: int, in_use: bool = False) -> None:
        """Take payloads into a tier, as requests for them would."""
        for key in held:
            self.tiers[key] = tier
            if in_use:
                self.in_use.add(key)
            else:
                self.in_use.discard(key)
        self.send(*held)

    def load(self, kind: str, *held: int) -> None:
        """Report payloads of another kind in host memory."""
        message = residency(dict.fromkeys(held, Tier.HOST), kind=kind)
        self.controller.residency(self.name, self.incarnation, (message,))

    def send(self, *changed: int) -> None:
        """Report payloads."""
        tiers = {key: self.tiers.get(key, Tier.ABSENT) for key in changed}
        message = residency(tiers, frozenset(self.in_use))
        self.controller.residency(self.name, self.incarnation, (message,))

    def poll(self) -> Directives | None:
        """Ask once; acknowledges what was carried out, carries out nothing."""
        return self.controller.poll(self.name, self.incarnation, self.acked)

    def obey(self) -> Directives | None:
        """Poll once and carry out what is sent."""
        directives = self.poll()
        if directives is None:
            return None
        if directives.resync:
            self.attach()
            return directives
        changed: set[int] = set()
        for push in directives.distance_updates:
            for key, distance in zip(push.keys.tolist(), push.distances.tolist(), strict=True):
                self.distances[key] = distance
                if distance == np.inf:
                    del self.distances[key]
        for batch in directives.moves:
            for verb, key, tier in zip(batch.verbs, batch.keys.tolist(), batch.tiers, strict=True):
                self._move(Verb(verb), key, Tier(tier))
                changed.add(key)
        self.acked = directives.sequence
        if changed:
            self.send(*changed)
        return directives

    def _move(self, verb: Verb, key: int, tier: Tier) -> None:
        if verb is Verb.PIN:
            self.pins.add(key)
        elif verb is Verb.UNPIN:
            self.pins.discard(key)
        elif key not in self.in_use:
            assert key in self.tiers, f"{verb.name} of a payload that is nowhere"
            if verb is Verb.DROP:
                del self.tiers[key]
            else:
                self.tiers[key] = tier


def settle(controller: Controller, *replicas: FakeReplica) -> None:
    """Plan and obey until nothing is left to do."""
    for _ in range(100):
        controller.plan()
        if not any([replica.obey() for replica in replicas]) and not controller.needing_plans():
            return
    raise AssertionError("the controller never settles")


def saved(controller: Controller) -> CatalogSnapshot:
    """Return all that the catalog would hold of a controller now."""
    controller.start_catalog_over()
    batch = controller.take_dirty()
    assert batch is not None
    return CatalogSnapshot(batch.rows, batch.names)
