"""What simulations, replicas and routers may call on a controller, however they reach it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import (
    Directives,
    Keys,
    PlacementDelta,
    ReplicaInfo,
    ReplicaUpdate,
    ReportAck,
)


class ReplicaCalls(Protocol):
    """Calls of a replica. Each may raise `ControllerUnavailableError`."""

    async def attach(self, info: ReplicaInfo) -> int:
        """Attach the replica; returns the incarnation that its other calls must present."""

    async def poll(self, replica: str, incarnation: int, acked: int) -> Directives | None:
        """Wait a bounded time for directives that are not acknowledged yet.

        Args:
            replica: Its name.
            incarnation: What `attach` returned.
            acked: Sequence of the last directives it carried out; 0 for none.
        """

    async def update(self, replica: str, incarnation: int, update: ReplicaUpdate) -> float:
        """Take over the replica's residency and transfer stats.

        Returns the seconds that it should leave until its next update.
        """

    async def detach(self, replica: str) -> None:
        """Detach the replica."""


class ControllerApi(ReplicaCalls, Protocol):
    """Calls of simulations, replicas and routers; see `Controller` for meaning and errors."""

    async def report(
        self,
        simulation: str,
        epoch: int,
        keys: Keys,
        distances: NDArray[np.float32],
        expires_in: float | None = None,
        holder: str = "",
    ) -> ReportAck:
        """Take over a batch of distances: int64[n] keys, float32[n] steps.

        `holder` is whose key the caller showed; empty inside the cluster.
        """

    async def lifecycle(
        self, simulation: str, pin: Keys, unpin: Keys, done: Keys, holder: str = ""
    ) -> None:
        """Pin, unpin or end agents, in this order; `holder` as in `report`."""

    async def end(self, simulation: str) -> None:
        """End a simulation."""

    async def placements(self, version: int) -> PlacementDelta:
        """Return what changed since `version` as soon as something did, at most a poll later."""

    async def status(self) -> dict[str, Any]:
        """Return the state of the controller, as JSON takes it."""

    async def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what the controller knows about one agent."""
