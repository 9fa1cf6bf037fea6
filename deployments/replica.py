"""One engine on one GPU, as a Ray Serve deployment."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import ray
from ray import serve

from controller.actor import connect
from controller.endpoint import Endpoint
from deployments.calls import Call, Piece
from deployments.link import Link
from deployments.nodes import engines_at, nodes
from deployments.remote import RemoteController
from deployments.replica_metrics import ReplicaMetrics
from scalesim.errors import ReplicaUnavailableError
from scalesim.settings import StackSettings

if TYPE_CHECKING:
    from deployments.engine.host import EngineHost

PROBE_S = 20.0
"""Longest the engine may stay silent while asked: longer than any single forward pass."""


_TOLD = 500
"""Characters of an engine's own error that are passed on."""

_logger = logging.getLogger("ray.serve")


@serve.deployment
class Replica:
    """Answers calls and keeps its engine in touch with the controller.

    Args:
        settings: The whole stack's settings.
    """

    _host: EngineHost | None = None
    _link: Link | None = None
    _endpoint: Endpoint | None = None

    async def __init__(self, settings: StackSettings) -> None:  # type: ignore[misc]
        # The engine is imported only where it runs: the ingress needs none of it.
        from deployments.engine.adapters import AdapterShelf
        from deployments.engine.host import EngineHost
        from deployments.engine.models.choice import ModelChoice
        from deployments.engine.openai import OpenAIEndpoints

        self._name: str = serve.get_replica_context().replica_id.unique_id
        address = ray.util.get_node_ip_address()
        engines = engines_at(settings, nodes(), address)
        host = self._host = EngineHost(settings.engine, engines)
        await _start(host)
        self._engine = host.engine
        adapters = settings.engine.adapters
        shelf = AdapterShelf(adapters) if adapters is not None else None
        models = ModelChoice(settings.engine)
        self._endpoints = OpenAIEndpoints(host.engine, self._name, models, shelf)
        self._metrics = ReplicaMetrics(self._name)
        self._endpoint = Endpoint(
            self._metrics,
            settings.metrics,
            settings.metrics.replica_ports,
            settings.ingress.api_key.get_secret_value(),
            address,
        )
        if host.steered is not None:
            controller = RemoteController(connect(settings.controller), settings.controller)
            reserve, scraped = settings.engine.reserve_share, self._endpoint.address
            self._link = Link(self._name, controller, *host.steered, reserve, scraped)
            self._metrics.link = self._link

    async def answer(self, call: Call) -> Piece:
        """Return the whole answer: half the messages of a stream of one piece."""
        with self._metrics:
            async with aclosing(self._endpoints.answer(call)) as pieces:
                return await anext(pieces)

    async def stream(self, call: Call) -> AsyncIterator[Piece]:
        """Yield the answer in pieces; see `OpenAIEndpoints.answer`."""
        with self._metrics:
            async for piece in self._endpoints.answer(call):
                yield piece

    async def check_health(self) -> None:
        """Ask the engine for a token; called by Serve.

        Raises:
            ReplicaUnavailableError: The engine did not answer in time; Serve replaces the replica.
        """
        from deployments.engine.probe import probe

        started = time.monotonic()
        well = await probe(self._engine, PROBE_S)
        took_s = time.monotonic() - started
        self._metrics.probed(took_s)
        if not well:
            raise ReplicaUnavailableError(
                f"engine of {self._name} was silent for {took_s:.0f} s: the replica is replaced"
            )

    async def __del__(self) -> None:
        """Called by Serve once requests in flight have drained."""
        if self._link is not None:
            await self._link.stop()
        if self._endpoint is not None:
            self._endpoint.close()
        if self._host is not None:
            self._host.stop()


async def _start(host: EngineHost) -> None:
    try:
        await host.start()
    except Exception as error:
        _logger.exception("The engine did not start")
        told = " ".join(str(error).split())[:_TOLD]
        # Without what it comes from: Serve shows the first lines of a traceback.
        raise ReplicaUnavailableError(
            f"the engine did not start ({type(error).__name__}: {told}): see the replica's log"
        ) from None
