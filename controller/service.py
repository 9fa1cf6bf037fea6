"""The controller's calls on one event loop, without Ray: calls in, long polls out."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.controller.api import ControllerApi
from scalesim.controller.core import Controller
from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.controller.runtime.notifier import Notifier
from scalesim.controller.update_interval import UpdateInterval
from scalesim.settings import ControllerSettings
from scalesim.vocabulary import (
    Directives,
    Keys,
    PlacementDelta,
    ReplicaInfo,
    ReplicaUpdate,
    ReportAck,
    Residency,
    TransferStats,
)

SPACING_S = 0.002  # between plans: reports of one step arrive together, one plan sees them all
_PLACEMENTS = ""  # what waits for placements; no replica has this name


class ControllerService(ControllerApi):
    """What simulations and replicas call; docstrings of `Controller` say what the calls mean.

    Must be made inside the event loop that it lives on; plans until `stop`.

    Args:
        core: The controller.
        settings: Settings of the controller.
    """

    def __init__(self, core: Controller, settings: ControllerSettings) -> None:
        self.core = core
        self._settings = settings
        self._started_at = time.monotonic()
        self._tick_at = 0.0
        self._changed = asyncio.Event()
        self._notifier = Notifier()
        self._update_interval = UpdateInterval()
        self._announced = core.placement_version
        self.loops = [BackgroundLoop("plan", self._plan)]

    async def report(
        self,
        simulation: str,
        epoch: int,
        keys: Keys,
        distances: NDArray[np.float32],
        expires_in: float | None = None,
        holder: str = "",
    ) -> ReportAck:
        """Take over a batch of distances."""
        ack = self.core.report(simulation, epoch, keys, distances, expires_in, holder)
        self._changed.set()
        return ack

    async def lifecycle(
        self, simulation: str, pin: Keys, unpin: Keys, done: Keys, holder: str = ""
    ) -> None:
        """Pin, unpin or end agents."""
        self.core.lifecycle(simulation, pin, unpin, done, holder)
        self._changed.set()

    async def end(self, simulation: str) -> None:
        """End a simulation."""
        self.core.end(simulation)
        self._changed.set()

    async def attach(self, info: ReplicaInfo) -> int:
        """Take a replica in; returns the incarnation to present."""
        incarnation = self.core.attach(info)
        self._changed.set()
        self._notifier.notify_all()
        return incarnation

    async def detach(self, name: str) -> None:
        """Let a replica go."""
        self.core.detach(name)
        self._notifier.notify_all()

    async def update(self, replica: str, incarnation: int, update: ReplicaUpdate) -> float:
        """Take over a replica's residency and transfer stats.

        Returns the seconds until its next update, by how busy this process is.
        """
        rows = tuple(message for message in update if isinstance(message, Residency))
        self.core.residency(replica, incarnation, rows)
        for message in update:
            if isinstance(message, TransferStats):
                self.core.transfer(replica, incarnation, message)
        self._changed.set()
        return self._update_interval.look()

    async def poll(
        self, replica: str, incarnation: int, acked: int, timeout_s: float = math.inf
    ) -> Directives | None:
        """Return directives as soon as there are some, None after `timeout_s`.

        No poll is held longer than the settings' `poll_timeout_s`.
        """
        directives = self.core.poll(replica, incarnation, acked)
        if directives is None:
            if self.core.needing_plans():
                self._changed.set()
            await self._notifier.wait(replica, min(timeout_s, self._settings.poll_timeout_s))
            directives = self.core.poll(replica, incarnation, acked)
        return directives

    async def placements(self, version: int, timeout_s: float = math.inf) -> PlacementDelta:
        """Return what changed since `version` as soon as something did, or after `timeout_s`."""
        if version == self.core.placement_version:
            timeout_s = min(timeout_s, self._settings.poll_timeout_s)
            await self._notifier.wait(_PLACEMENTS, timeout_s)
        return self.core.placements(version)

    async def status(self) -> dict[str, Any]:
        """Return the state of the controller and its loops."""
        return {
            **self.core.status(),
            "update_interval_s": self._update_interval.interval_s,
            "uptime_s": time.monotonic() - self._started_at,
            "loops": {loop.name: loop.status() for loop in self.loops},
        }

    async def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what the controller knows about one agent."""
        return self.core.agent(simulation, agent)

    async def stop(self) -> None:
        """End the loops."""
        for loop in self.loops:
            await loop.stop()

    async def _plan(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), self._settings.tick_s)
        self._changed.clear()
        if time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + self._settings.tick_s
            self.core.tick()
        if self.core.placement_version != self._announced:
            self._announced = self.core.placement_version
            self._notifier.notify(_PLACEMENTS)
        for name in self.core.needing_plans():
            if self.core.plan_one(name):
                self._notifier.notify(name)
            await asyncio.sleep(0)
        await asyncio.sleep(SPACING_S)
