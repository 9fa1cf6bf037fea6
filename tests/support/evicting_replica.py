"""A replica with one request at a time, whose device holds what it was told is near."""

from __future__ import annotations

import numpy as np

from scalesim.controller.core import Controller
from scalesim.vocabulary import Tier
from tests.support.controller_world import FakeReplica, settle


class EvictingReplica(FakeReplica):
    """Serves requests one by one and evicts by the distances it was sent, then by recency."""

    def __init__(self, controller: Controller, device: int = 4) -> None:
        self.used: dict[int, int] = {}
        self._room = device
        super().__init__(controller, "r", device=device)

    def request(self, key: int) -> bool:
        """Serve one request; return whether its state was on the device."""
        found = self.tiers.get(key) == Tier.DEVICE
        while not found and len(self.on_device) >= self._room:
            self.hold(Tier.HOST, max(self.on_device, key=self._eviction_order))
        self.hold(Tier.DEVICE, key, in_use=True)
        settle(self.controller, self)
        self.used[key] = len(self.used) + max(self.used.values(), default=0)
        self.hold(Tier.DEVICE, key)
        settle(self.controller, self)
        return found

    @property
    def on_device(self) -> list[int]:
        return [key for key, tier in self.tiers.items() if tier == Tier.DEVICE]

    def _eviction_order(self, key: int) -> tuple[float, int]:
        return self.distances.get(key, np.inf), -self.used.get(key, 0)
