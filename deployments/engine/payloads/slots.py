"""The seam between the adapter payload and the engine's adapter slots."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from deployments.engine.payloads.shared import Use


class AdapterSlots(Protocol):
    """LoRA adapters of an engine: all loaded ones in host memory, some in slots on the device.

    Attributes:
        distance: Tells how far an adapter is, by its id: the farthest gives way to requests that
            need a slot. Set by the payload.
    """

    slots: int
    host_slots: int
    slot_bytes: int
    distance: Callable[[str], float]

    def free(self) -> int:
        """Return how many slots hold no adapter."""

    def loaded(self) -> Collection[str]:
        """Return the ids of all loaded adapters."""

    def resident(self) -> Collection[str]:
        """Return the ids of those in slots."""

    def calls(self) -> Collection[Use]:
        """Return what queued and running requests need."""

    def enter(self, adapter: str) -> None:
        """Copy an adapter to a free slot."""

    def leave(self, adapter: str) -> None:
        """Free an adapter's slot; its host copy stays."""
