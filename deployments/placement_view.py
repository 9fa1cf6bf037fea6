"""Where agents live, as one process of the data plane knows it.

The controller publishes only agents placed elsewhere than rendezvous hashing puts them, so an
empty view is a good one: routing works before the controller answers, and while it is away.
"""

from __future__ import annotations

from collections.abc import Sequence

from scalesim.policies.placement import rendezvous_one
from scalesim.vocabulary import PlacementDelta


class PlacementView:
    """Exceptions by agent key."""

    def __init__(self) -> None:
        self.version = 0
        self._replicas: tuple[str, ...] = ()
        self._exceptions: dict[int, str] = {}

    def apply(self, delta: PlacementDelta) -> None:
        """Take over what changed since `version`."""
        if delta.full:
            self._exceptions.clear()
        self._replicas = delta.replicas
        for key, place in zip(delta.keys.tolist(), delta.places.tolist(), strict=True):
            if place < 0:
                self._exceptions.pop(key, None)
            else:
                self._exceptions[key] = delta.replicas[place]
        self.version = delta.version

    def home(self, key: int, running: Sequence[str]) -> str:
        """Return the replica of `running` (not empty) that agent `key` lives on."""
        placed = self._exceptions.get(key)
        if placed is not None and placed in running:
            return placed
        known = [name for name in self._replicas if name in running] or running
        return known[rendezvous_one(key, known)]


VIEW = PlacementView()
"""This process's view: the ingress keeps it fresh, the router beside it reads it."""
