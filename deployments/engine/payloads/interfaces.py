"""What a kind of agent state must answer to be moved by distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from scalesim.deployments.engine.eviction_order import PushedDistances, PushedKeys
from scalesim.deployments.engine.payloads.adapter_slots import AdapterSlots
from scalesim.deployments.engine.payloads.model_weights import ModelWeights
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.deployments.engine.payloads.prefix_tree import PrefixTree
from scalesim.vocabulary import Budgets, Residency, Tier, TransferStats


class Payload(Protocol):
    """One kind of agent state inside one engine.

    All calls come from the scheduler's thread between two forward passes, in the same order on
    every tensor-parallel rank, and must not block. Keys are payload keys. Nothing in use is moved.
    """

    kind: str

    def budgets(self) -> Budgets:
        """Return the bytes of its own pools; no other kind's state can be there."""
        ...

    def push(self, keys: PushedKeys, distances: PushedDistances) -> None:
        """Take over distances for evictions under pressure; inf forgets.

        Args:
            keys: int64[n], or a sequence.
            distances: float[n]; of a key that is named twice, the last counts.
        """
        ...

    def distance(self, key: int) -> float:
        """Return the steps until it is used, inf where nothing is known; what is nearer goes first.

        The same on every rank.
        """
        ...

    def prefetch(self, key: int, tier: Tier) -> MoveOutcome:
        """Prepare and start the copy of a payload to a hotter tier."""
        ...

    def demote(self, key: int, tier: Tier) -> MoveOutcome:
        """Leave all tiers hotter than `tier`, where a copy is kept."""
        ...

    def drop(self, key: int) -> MoveOutcome:
        """Leave every tier."""
        ...

    def pin(self, key: int) -> None:
        """Make it the last to be evicted, only where a request could not run otherwise."""
        ...

    def unpin(self, key: int) -> None:
        """Undo `pin`."""
        ...

    def settle(self) -> bool:
        """Submit what was prepared, complete what arrived; return whether copies are in flight."""
        ...

    def changed(self) -> Residency | None:
        """Return rows of payloads whose residency changed, or None; a share of them, not many."""
        ...

    def touch_all(self) -> None:
        """Make `changed` return every payload once: the controller asked for a resync."""
        ...

    def transfer(self) -> TransferStats:
        """Return the counters of moves."""
        ...


class PayloadEngine(Protocol):
    """The engine a payload lives in, seen through the adapter layer."""

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the settings of kinds from outside, by kind: `engine.payloads` of the stack."""
        ...

    @property
    def tree(self) -> PrefixTree:
        """Return its prefix cache."""
        ...

    @property
    def slots(self) -> AdapterSlots | None:
        """Return its adapter slots, if it serves adapters."""
        ...

    @property
    def weights(self) -> ModelWeights | None:
        """Return its models, if it serves more than its own."""
        ...
