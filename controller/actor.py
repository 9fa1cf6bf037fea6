"""The controller as a detached Ray actor: calls in, long polls out, background loops inside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from controller.bells import Bells
from controller.catalog.rows import Snapshot
from controller.catalog.store import Catalog
from controller.core import Controller
from controller.loops import Loop
from controller.metrics import exposition
from controller.writing import Writer
from policies.placement import rendezvous
from policies.planner import DistancePlanner
from scalesim.errors import (
    CatalogUnavailableError,
    ConfigurationError,
    ControllerUnavailableError,
)
from scalesim.settings import CatalogSettings, ControllerSettings, StackSettings
from scalesim.vocabulary import (
    Directives,
    Flow,
    Keys,
    PlacementDelta,
    ReplicaInfo,
    ReportAck,
    Residency,
)

_logger = logging.getLogger(__name__)

_SPACING_S = 0.002  # between plans: reports of one step arrive together, one plan sees them all
_STOP_S = 5.0
_PLACEMENTS = ""  # the bell of the placements; no replica has this name
_MAX_CALLS = 10_000  # long polls are held open; each is a call


class ControllerActor:
    """Thin surface over `controller.core.Controller`; its docstrings say what the calls mean."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it, inside the actor's event loop
        self, settings: ControllerSettings, catalog: CatalogSettings
    ) -> None:
        self._settings = settings
        self._flush_interval_s = catalog.flush_interval_s
        store = Catalog(catalog)
        snapshot, saved = _remembered(store)
        self._core = Controller(settings, catalog, DistancePlanner(), rendezvous, snapshot, saved)
        self._writer = Writer(self._core, store)
        self._started_at = time.time()
        self._tick_at = 0.0
        self._changed = asyncio.Event()
        self._bells = Bells()
        self._announced = self._core.placement_version
        self._loops = [Loop("plan", self._plan), Loop("catalog", self._flush)]

    async def report(
        self,
        simulation: str,
        epoch: int,
        keys: Keys,
        distances: NDArray[np.float32],
        expires_in: float | None = None,
    ) -> ReportAck:
        """Take over a batch of distances."""
        ack = self._core.report(simulation, epoch, keys, distances, expires_in)
        self._changed.set()
        return ack

    async def lifecycle(self, simulation: str, pin: Keys, unpin: Keys, done: Keys) -> None:
        """Pin, unpin or end agents."""
        self._core.lifecycle(simulation, pin, unpin, done)
        self._changed.set()

    async def end(self, simulation: str) -> None:
        """End a simulation."""
        self._core.end(simulation)
        self._changed.set()

    async def attach(self, info: ReplicaInfo) -> int:
        """Take a replica in; returns the incarnation to present."""
        incarnation = self._core.attach(info)
        self._changed.set()
        self._bells.ring_all()
        return incarnation

    async def detach(self, name: str) -> None:
        """Let a replica go."""
        self._core.detach(name)
        self._bells.ring_all()

    async def residency(
        self, replica: str, incarnation: int, messages: tuple[Residency, ...]
    ) -> None:
        """Take over what a replica holds."""
        self._core.residency(replica, incarnation, messages)
        self._changed.set()

    async def flow(self, replica: str, incarnation: int, flow: Flow) -> None:
        """Take over what became of a replica's moves."""
        self._core.flow(replica, incarnation, flow)

    async def poll(
        self, replica: str, incarnation: int, acked: int, timeout_s: float = math.inf
    ) -> Directives | None:
        """Return directives as soon as there are some, None after `timeout_s`.

        No poll is held longer than the settings' `poll_timeout_s`.
        """
        directives = self._core.poll(replica, incarnation, acked)
        if directives is None:
            if self._core.needing_plans():
                self._changed.set()
            await self._bells.wait(replica, min(timeout_s, self._settings.poll_timeout_s))
            directives = self._core.poll(replica, incarnation, acked)
        return directives

    async def placements(self, version: int, timeout_s: float = math.inf) -> PlacementDelta:
        """Return what changed since `version` as soon as something did, or after `timeout_s`."""
        if version == self._core.placement_version:
            timeout_s = min(timeout_s, self._settings.poll_timeout_s)
            await self._bells.wait(_PLACEMENTS, timeout_s)
        return self._core.placements(version)

    async def status(self) -> dict[str, Any]:
        """Return the state of the controller, its loops and its catalog."""
        return self._status()

    async def agent(self, simulation: str, agent: str) -> dict[str, Any]:
        """Return what is known of one agent."""
        return self._core.agent(simulation, agent)

    async def metrics(self) -> str:
        """Return the state in Prometheus' text format."""
        return exposition(self._status())

    async def shutdown(self) -> None:
        """End the loops and write what the catalog does not know yet."""
        for loop in self._loops:
            await loop.stop()
        await self._writer.close()

    async def _plan(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), self._settings.tick_s)
        self._changed.clear()
        if time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + self._settings.tick_s
            self._core.tick()
        if self._core.placement_version != self._announced:
            self._announced = self._core.placement_version
            self._bells.ring(_PLACEMENTS)
        for name in self._core.needing_plans():
            if self._core.plan_one(name):
                self._bells.ring(name)
            await asyncio.sleep(0)
        await asyncio.sleep(_SPACING_S)

    async def _flush(self) -> None:
        await asyncio.sleep(self._flush_interval_s)
        await self._writer.flush()

    def _status(self) -> dict[str, Any]:
        return {
            **self._core.status(),
            "uptime_s": time.time() - self._started_at,
            "catalog": self._writer.status(),
            "loops": {loop.name: loop.status() for loop in self._loops},
        }


def start(settings: StackSettings) -> ActorHandle:
    """Return the controller of a Ray cluster, starting it if there is none.

    The actor is detached and restarts for ever; `stop` ends it.

    Raises:
        ConfigurationError: The settings name no catalog.
    """
    url = settings.catalog.url.get_secret_value()
    if not url:
        raise ConfigurationError(
            "catalog.url is empty: start a server with controller.catalog.embedded.serving and "
            "pass its settings"
        )
    placement = {}
    if url.startswith("unix://"):  # the socket can only be opened on this machine
        node = ray.get_runtime_context().get_node_id()
        placement["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
    return (
        ray.remote(ControllerActor)
        .options(
            name=settings.controller.name,
            namespace=settings.controller.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=_MAX_CALLS,
            num_cpus=0,
            **placement,
        )
        .remote(settings.controller, settings.catalog)
    )


def connect(settings: ControllerSettings) -> ActorHandle:
    """Return the running controller.

    Raises:
        ControllerUnavailableError: There is none.
    """
    try:
        return ray.get_actor(settings.name, settings.namespace)
    except ValueError:
        raise ControllerUnavailableError(
            f"no controller {settings.name!r} in Ray namespace {settings.namespace!r}: start the "
            "stack with `scalesim up`, or check the settings' controller.name"
        ) from None


def stop(settings: ControllerSettings) -> None:
    """Write what the catalog does not know yet and end the controller; none is fine.

    Waits at most a few seconds.
    """
    try:
        handle = connect(settings)
    except ControllerUnavailableError:
        return
    with contextlib.suppress(ray.exceptions.RayError):
        ray.get(handle.shutdown.remote(), timeout=_STOP_S)
    ray.kill(handle, no_restart=True)


def _remembered(store: Catalog) -> tuple[Snapshot | None, int]:
    try:
        return store.load()
    except CatalogUnavailableError as error:
        _logger.warning("Starting with nothing known: %s", error)
        return None, 0
