"""The seam between the model payload and the engine's weights."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from scalesim.deployments.engine.payloads.moves import MoveOutcome, NeedChange


class ModelWeights(Protocol):
    """Models of one engine: all in storage, some in host memory, one in the engine.

    Its own loads and swaps, for requests that wait, need nothing else of the payload.

    Attributes:
        swapped_s: How long the link was busy with the last swap.
        distance: Returns how far a model is: the farthest leaves host memory first. Set by the
            payload.
    """

    model_bytes: int
    places: int
    storage_bytes: int
    swapped_s: float
    distance: Callable[[str], float]

    @property
    def resident(self) -> str | None:
        """The model in the engine; None after a swap that failed."""

    @property
    def held(self) -> Collection[str]:
        """The models in host memory."""

    @property
    def reading(self) -> str | None:
        """The model on its way to host memory."""

    def need_changes(self) -> NeedChange:
        """Return what requests came and went since the last call, and what they need."""

    def fetch(self, model: str, distance: float) -> MoveOutcome:
        """Start reading a model to host memory, in place of farther ones only; one at a time."""

    def leave(self, model: str) -> None:
        """Forget a model's copy in host memory."""

    def swap(self, model: str) -> bool:
        """Put a model that is in host memory into the engine; False while requests are there."""

    def settle(self) -> bool:
        """Do the engine's own share of work; return whether requests wait for weights."""
