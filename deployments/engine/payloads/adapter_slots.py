"""The seam between the adapter payload and the engine's adapter slots."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from scalesim.deployments.engine.payloads.moves import NeedChange


class Arrival(NamedTuple):
    """A copy to a slot that ended.

    Attributes:
        adapter: The adapter's id.
        seconds: How long the link was busy with it.
    """

    adapter: str
    seconds: float


class AdapterSlots(Protocol):
    """LoRA adapters of an engine: all loaded ones in host memory, some in slots on the device.

    Requests may fill one slot more than there are, while none of them is for the bare model.

    Attributes:
        distance: Returns how far an adapter is, by its id: the farthest gives way to requests that
            need a slot. Set by the payload.
    """

    slots: int
    host_slots: int
    slot_bytes: int
    distance: Callable[[str], float]

    def free(self) -> int:
        """Return how many slots hold no adapter; never less than 0."""

    def loaded(self) -> Collection[str]:
        """Return the ids of all loaded adapters."""

    def resident(self) -> Collection[str]:
        """Return the ids of those in slots, those on their way included."""

    def moved(self) -> Collection[str]:
        """Return the ids of those that came to host memory or a slot, or left, since the last call.

        Each once; also one that is back where it was.
        """

    def need_changes(self) -> NeedChange:
        """Return what requests came and went since the last call, and what they need."""

    def enter(self, adapter: str) -> None:
        """Start copying an adapter to a free slot; requests that need it wait for the copy."""

    def arrived(self) -> Collection[Arrival]:
        """Return the copies begun by `enter` that ended since the last call."""

    def leave(self, adapter: str) -> None:
        """Free an adapter's slot; its host copy stays."""
