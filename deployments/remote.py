"""The controller actor as plain awaitable calls, each with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.exceptions import ActorDiedError

from scalesim.controller.api import ControllerApi
from scalesim.errors import ControllerUnavailableError
from scalesim.settings import ControllerSettings
from scalesim.transports.ray import controller_errors
from scalesim.transports.transport import MAX_ROWS
from scalesim.vocabulary import (
    Directives,
    Keys,
    PlacementDelta,
    ReplicaInfo,
    ReplicaUpdate,
    ReportAck,
)

_CALL_S = 5.0
"""Longest a plain call may take: a restarting controller is back in about one second."""


class RemoteController(ControllerApi):
    """Calls of one process to the controller.

    Args:
        find: Returns the handle of the named actor. That stays good over restarts of the actor,
            and is asked for again once another one took its place.
        settings: Tell how long polls are held open.

    Every method raises `ControllerUnavailableError` while the controller is away, and the
    controller's own `ScaleSimError` where it refuses.
    """

    def __init__(self, find: Callable[[], Any], settings: ControllerSettings) -> None:
        self._find = find
        self._handle = find()
        self._poll_s = settings.poll_timeout_s

    async def report(
        self,
        simulation: str,
        epoch: int,
        keys: Keys,
        distances: NDArray[np.float32],
        expires_in: float | None = None,
        holder: str = "",
    ) -> ReportAck:
        """Take over distances, in batches of `MAX_ROWS` between which it serves others.

        `holder` is whose key the caller showed.
        """
        accepted = ignored = 0
        for rows in _batches(keys.size):
            arguments = (simulation, epoch, keys[rows], distances[rows], expires_in, holder)
            ack: ReportAck = await self._answer("report", *arguments)
            accepted, ignored = accepted + ack.accepted, ignored + ack.ignored
        return ReportAck(ack.epoch, accepted, ignored)

    async def lifecycle(
        self, simulation: str, pin: Keys, unpin: Keys, done: Keys, holder: str = ""
    ) -> None:
        """Pin, unpin or end agents, in this order; many of them in batches of `MAX_ROWS`."""
        batches = [[pin, unpin, done]]
        if pin.size + unpin.size + done.size > MAX_ROWS:
            none = np.empty(0, np.int64)
            batches = [[pin[rows], none, none] for rows in _batches(pin.size)]
            batches += [[none, unpin[rows], none] for rows in _batches(unpin.size)]
            batches += [[none, none, done[rows]] for rows in _batches(done.size)]
        for batch in batches:
            await self._answer("lifecycle", simulation, *batch, holder)

    async def end(self, simulation: str) -> None:
        """End a simulation."""
        await self._answer("end", simulation)

    async def attach(self, info: ReplicaInfo) -> int:
        """Take a replica in; returns the incarnation to present."""
        return int(await self._answer("attach", info))

    async def detach(self, replica: str) -> None:
        """Let a replica go."""
        await self._answer("detach", replica)

    async def update(self, replica: str, incarnation: int, update: ReplicaUpdate) -> float:
        """Hand over a replica's residency and transfer stats."""
        return float(await self._answer("update", replica, incarnation, update))

    async def poll(self, replica: str, incarnation: int, acked: int) -> Directives | None:
        """Wait for directives, at most for the poll's time."""
        arguments = (replica, incarnation, acked, self._poll_s)
        longest_s = self._poll_s + _CALL_S
        directives: Directives | None = await self._answer("poll", *arguments, within_s=longest_s)
        return directives

    async def placements(self, version: int) -> PlacementDelta:
        """Wait for placements newer than `version`, at most for the poll's time."""
        arguments, longest_s = (version, self._poll_s), self._poll_s + _CALL_S
        delta: PlacementDelta = await self._answer("placements", *arguments, within_s=longest_s)
        return delta

    async def status(self) -> dict[str, Any]:
        """Return the state of the controller."""
        status: dict[str, Any] = await self._answer("status")
        return status

    async def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what the controller knows about one agent."""
        known: dict[str, Any] = await self._answer("agent", simulation, agent)
        return known

    async def metrics(self) -> str:
        """Return the controller's metrics in Prometheus' text format."""
        return str(await self._answer("metrics"))

    async def _answer(self, method: str, *args: Any, within_s: float = _CALL_S) -> Any:
        try:
            with controller_errors(within_s):
                return await asyncio.wait_for(getattr(self._handle, method).remote(*args), within_s)
        except ControllerUnavailableError as error:
            if isinstance(error.__cause__, ActorDiedError):  # for good: another may be in its place
                with suppress(ControllerUnavailableError):
                    self._handle = await asyncio.to_thread(self._find)
            raise


def _batches(rows: int) -> Iterator[slice]:
    """Yield slices that cover so many rows; one even where there are none: it renews a lease."""
    for start in range(0, max(rows, 1), MAX_ROWS):
        yield slice(start, start + MAX_ROWS)
