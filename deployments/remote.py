"""The controller actor as plain awaitable calls, each with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.api import ControllerApi
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
        handle: Handle of the named actor; stays good over its restarts.
        settings: Tell how long polls are held open.

    Every method raises `ControllerUnavailableError` while the controller is away, and the
    controller's own `ScaleSimError` where it refuses.
    """

    def __init__(self, handle: Any, settings: ControllerSettings) -> None:
        self._handle = handle
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
            ack: ReportAck = await _answer(
                self._handle.report.remote(
                    simulation, epoch, keys[rows], distances[rows], expires_in, holder
                )
            )
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
            await _answer(self._handle.lifecycle.remote(simulation, *batch, holder))

    async def end(self, simulation: str) -> None:
        """End a simulation."""
        await _answer(self._handle.end.remote(simulation))

    async def attach(self, info: ReplicaInfo) -> int:
        """Take a replica in; returns the incarnation to present."""
        return int(await _answer(self._handle.attach.remote(info)))

    async def detach(self, replica: str) -> None:
        """Let a replica go."""
        await _answer(self._handle.detach.remote(replica))

    async def update(self, replica: str, incarnation: int, update: ReplicaUpdate) -> None:
        """Hand over what a replica holds and what became of its moves."""
        await _answer(self._handle.update.remote(replica, incarnation, update))

    async def poll(self, replica: str, incarnation: int, acked: int) -> Directives | None:
        """Wait for directives, at most for the poll's time."""
        call = self._handle.poll.remote(replica, incarnation, acked, self._poll_s)
        directives: Directives | None = await _answer(call, self._poll_s + _CALL_S)
        return directives

    async def placements(self, version: int) -> PlacementDelta:
        """Wait for placements newer than `version`, at most for the poll's time."""
        call = self._handle.placements.remote(version, self._poll_s)
        delta: PlacementDelta = await _answer(call, self._poll_s + _CALL_S)
        return delta

    async def status(self) -> dict[str, Any]:
        """Return the state of the controller."""
        status: dict[str, Any] = await _answer(self._handle.status.remote())
        return status

    async def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what is known of one agent."""
        known: dict[str, Any] = await _answer(self._handle.agent.remote(simulation, agent))
        return known

    async def metrics(self) -> str:
        """Return the controller's metrics in Prometheus' text format."""
        return str(await _answer(self._handle.metrics.remote()))


def _batches(rows: int) -> Iterator[slice]:
    """Yield slices that cover so many rows; one even where there are none: it renews a lease."""
    for start in range(0, max(rows, 1), MAX_ROWS):
        yield slice(start, start + MAX_ROWS)


async def _answer(call: Any, timeout_s: float = _CALL_S) -> Any:
    with controller_errors(timeout_s):
        return await asyncio.wait_for(call, timeout_s)
