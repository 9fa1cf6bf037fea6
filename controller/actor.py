"""The controller as a detached Ray actor: calls in, long polls out, background loops inside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

import ray
from pydantic import SecretStr
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from scalesim.controller.catalog.rows import CatalogSnapshot
from scalesim.controller.catalog.store import Catalog
from scalesim.controller.catalog_flusher import CatalogFlusher
from scalesim.controller.core import Controller
from scalesim.controller.metrics import StatusOnLoop, exposition
from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.controller.runtime.metrics_endpoint import MetricsEndpoint
from scalesim.controller.service import ControllerService
from scalesim.errors import (
    CatalogUnavailableError,
    ConfigurationError,
    ControllerUnavailableError,
)
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.settings import (
    CatalogSettings,
    ControllerSettings,
    MetricsSettings,
    StackSettings,
)

_logger = logging.getLogger(__name__)

_STOP_S = 5.0
_START_S = 30.0
"""Longest that one that is about to start, and to read its catalog, is waited for."""
_REPLACE_S = 60.0
LOAD_S = 2.0
"""How long a controller waits for a catalog that does not answer: one that was killed with it, or
restarts, is back by then with what it held. Without it pins are lost."""

_HEAD = "node:__internal_head__"  # what Ray gives the head, and no other node, one of
_MAX_CALLS = 10_000  # long polls are held open; each is a call


class ControllerActor(ControllerService):
    """The service as an actor: it keeps its state in the catalog."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it, inside the actor's event loop
        self,
        settings: ControllerSettings,
        catalog: CatalogSettings,
        metrics: MetricsSettings = MetricsSettings(),  # noqa: B008 - frozen
        key: SecretStr = SecretStr(""),  # noqa: B008 - frozen
    ) -> None:
        self._made_with = (settings, catalog, metrics, key)
        store = Catalog(catalog)
        core = remembering(settings, catalog, store)
        super().__init__(core, settings)
        self._flush_interval_s = catalog.flush_interval_s
        self._writer = CatalogFlusher(core, store)
        self.loops.append(BackgroundLoop("catalog", self._flush))
        self._endpoint = MetricsEndpoint(
            StatusOnLoop(self.status),
            metrics,
            metrics.controller_ports,
            key.get_secret_value(),
            ray.util.get_node_ip_address(),
        )

    async def is_made_with(self, *arguments: Any) -> bool:
        """Return whether it was constructed with these."""
        return arguments == self._made_with

    async def status(self) -> dict[str, Any]:
        """Return the state of the controller, its loops, its catalog and where it is scraped."""
        more = {"catalog": self._writer.status(), "metrics": self._endpoint.address}
        return {**await super().status(), **more}

    async def metrics(self) -> str:
        """Return the state in Prometheus' text format, or "" where its own endpoint serves it."""
        return "" if self._endpoint.address else exposition(await self.status())

    async def shutdown(self) -> None:
        """End the loops and write what the catalog does not know yet."""
        self._endpoint.close()
        await self.stop()
        await self._writer.close()

    async def _flush(self) -> None:
        await asyncio.sleep(self._flush_interval_s)
        await self._writer.flush()


def start(settings: StackSettings) -> ActorHandle:
    """Return the controller of a Ray cluster, starting it if there is none with these settings.

    One with other settings writes all that it knows and goes; the new one goes on from there, where
    it has the same catalog and that answers. The actor is detached and restarts until `stop` ends
    it. It lives on the head, where it is scraped and where no engine runs, or beside a catalog that
    only this machine reaches.

    Raises:
        ConfigurationError: The settings name no catalog, or none by an address of one.
        ControllerUnavailableError: The one before does not go.
    """
    url = settings.catalog.url.get_secret_value()
    if not url:
        raise ConfigurationError(
            "catalog.url is empty: start a server with controller.catalog.embedded.serving and "
            "pass its settings"
        )
    Catalog(settings.catalog).close()  # its faults are reported to who starts the stack
    placement: dict[str, Any] = {"resources": {_HEAD: 0.001}}
    if url.startswith("unix://"):  # the socket can only be opened on this machine
        node = ray.get_runtime_context().get_node_id()
        placement = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
    arguments = (
        settings.controller,
        settings.catalog,
        settings.metrics,
        settings.ingress.api_key,
    )
    make = ray.remote(ControllerActor).options(
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
    deadline = time.monotonic() + _REPLACE_S
    while time.monotonic() < deadline:
        try:
            controller = connect(settings.controller)
        except ControllerUnavailableError:
            return make.remote(*arguments)
        with contextlib.suppress(ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
            if ray.get(controller.is_made_with.remote(*arguments), timeout=_START_S):
                return controller
        stop(settings.controller)
    raise ControllerUnavailableError(
        f"a controller with other settings does not end within {_REPLACE_S:g} s: end the actor "
        f"{settings.controller.name!r} of Ray namespace {settings.controller.namespace!r}"
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
    """Write what the catalog does not know yet and end the controller, if there is one.

    Waits at most a few seconds.
    """
    try:
        handle = connect(settings)
    except ControllerUnavailableError:
        return
    with contextlib.suppress(ray.exceptions.RayError):
        ray.get(handle.shutdown.remote(), timeout=_STOP_S)
    ray.kill(handle, no_restart=True)


def remembering(
    settings: ControllerSettings, catalog: CatalogSettings, store: Catalog
) -> Controller:
    """Return a controller that knows what the catalog held, as far as that can be believed."""

    def make(snapshot: CatalogSnapshot | None, saved: int) -> Controller:
        return Controller(settings, catalog, DistancePlanner(), rendezvous, snapshot, saved)

    snapshot, saved = None, 0
    try:
        snapshot, saved = _loaded(store)
        return make(snapshot, saved)
    except CatalogUnavailableError as error:
        _logger.warning("Starting without the catalog: %s", error)
    except Exception as error:  # it is a hint: whatever is in it, the controller starts
        _logger.exception("What the catalog held cannot be used")
        with contextlib.suppress(CatalogUnavailableError):
            store.set_aside(f"{type(error).__name__}: {error}")
    return make(None, saved)


def _loaded(store: Catalog) -> tuple[CatalogSnapshot | None, int]:
    deadline = time.monotonic() + LOAD_S
    while True:
        try:
            return store.load()
        except CatalogUnavailableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOAD_S / 20)
