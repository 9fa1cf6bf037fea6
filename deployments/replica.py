"""One engine on one GPU, as a Ray Serve deployment."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import ray
from ray import serve

from scalesim.controller.actor import connect
from scalesim.controller.runtime.background import BackgroundLoop
from scalesim.controller.runtime.metrics_endpoint import MetricsEndpoint
from scalesim.deployments.calls import AnswerPart, Call, is_head, tokens_of
from scalesim.deployments.cluster import keep_serve_on_loopback
from scalesim.deployments.controller_link import Link
from scalesim.deployments.engine.watch import EngineFault, EngineWatch
from scalesim.deployments.nodes import engines_at, nodes
from scalesim.deployments.remote import RemoteController
from scalesim.deployments.replica_metrics import ReplicaMetrics
from scalesim.environment import CUDA_VISIBLE_DEVICES
from scalesim.errors import ReplicaUnavailableError, ScaleSimError
from scalesim.settings import EngineSettings, StackSettings

if TYPE_CHECKING:
    from scalesim.deployments.engine.engine_host import EngineHost

_ATTACH_S = 5.0
"""Longest a replica that starts waits for the controller; without one it serves, too."""

_LEAVE_S = 2.0
"""Longest a replica without an engine goes on telling its callers so."""

_STOPPED_S = 30.0
"""A replica that was stopped for so long was replaced meanwhile: it is ended, with its engine."""

_FLUSH_S = 0.1
"""What was answered is on its way to its callers after this."""

_REASON_CHARACTERS = 500
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
    _endpoint: MetricsEndpoint | None = None
    _watching: BackgroundLoop | None = None

    async def __init__(self, settings: StackSettings) -> None:  # type: ignore[misc]
        hide_gpus(settings.engine)
        # The engine is imported only where it runs: the ingress needs none of it.
        from scalesim.deployments.engine.engine_host import EngineHost

        keep_serve_on_loopback()
        self._name: str = serve.get_replica_context().replica_id.unique_id
        address = ray.util.get_node_ip_address()
        engines = engines_at(settings, nodes(), address)
        host = self._host = EngineHost(settings.engine, engines)
        host.end_with_a_stopped_process(_STOPPED_S)
        host.import_ahead()
        from scalesim.deployments.engine.adapter_registry import AdapterRegistry
        from scalesim.deployments.engine.launch import device_name
        from scalesim.deployments.engine.models.model_resolver import ModelResolver
        from scalesim.deployments.engine.openai_endpoints import OpenAIEndpoints
        from scalesim.deployments.engine.probe import probe, unended
        from scalesim.deployments.engine.sglang.processes import take_over

        await start_engine(host)
        adapters = settings.engine.adapters
        registry = (
            AdapterRegistry(adapters, settings.engine.model_path) if adapters is not None else None
        )
        models = ModelResolver(settings.engine)
        answer = settings.ingress.default_max_tokens
        self._endpoints = OpenAIEndpoints(host.engine, self._name, models, registry, answer)
        self._metrics = ReplicaMetrics(self._name, device_name(settings.engine))
        self._watch = EngineWatch(
            take_over(host.engine),
            partial(probe, host.engine),
            host.last_words,
            self._metrics.probed,
        )
        self._fault: EngineFault | None = None
        self._metrics.in_engine = partial(unended, host.engine)
        self._watching = self._metrics.watching = BackgroundLoop("engine", self._look_after)
        self._endpoint = MetricsEndpoint(
            self._metrics,
            settings.metrics,
            settings.metrics.replica_ports,
            settings.ingress.api_key.get_secret_value(),
            address,
        )
        if host.steered is not None:
            find = partial(connect, settings.controller)
            controller = RemoteController(find, settings.controller)
            reserve, scraped = settings.engine.reserve_share, self._endpoint.address
            self._link = Link(self._name, controller, *host.steered, reserve, scraped)
            self._metrics.link = self._link
            await self._link.attached(_ATTACH_S)

    async def answer(self, call: Call) -> AnswerPart:
        """Return the whole answer: half the messages of a stream of one piece."""
        with self._metrics as came_at, _errors_of_ours():
            async with aclosing(self._endpoints.answer(call)) as pieces:
                answer = await anext(pieces)
                self._metrics.first(came_at)
                self._metrics.generated(tokens_of(answer))
                return answer

    async def stream(self, call: Call) -> AsyncIterator[AnswerPart]:
        """Yield the answer in pieces; see `OpenAIEndpoints.answer`."""
        with self._metrics as came_at, _errors_of_ours():
            async with aclosing(self._endpoints.answer(call)) as pieces:
                async for piece in pieces:
                    if is_head(piece):
                        self._metrics.first(came_at)
                    self._metrics.generated(tokens_of(piece))
                    yield piece

    async def context_length(self) -> int:
        """Return how many tokens a prompt with its answer may have."""
        return self._endpoints.limits.context_length

    def check_health(self) -> None:
        """Answer at once, so that Serve notices a process that hangs; called by Serve.

        Raises:
            ReplicaUnavailableError: The engine is lost.
        """
        if self._fault is not None:
            raise ReplicaUnavailableError(f"{self._name} lost its engine: {self._fault.reason}")

    async def _look_after(self) -> None:
        """End this process once its engine is lost, so that Serve starts another one.

        Serve itself would ask three times before it believes that a replica is not well.
        """
        assert self._watching is not None
        fault = self._fault = await self._watching.until(self._watch.fault())
        _logger.error("The engine of %s is lost: %s", self._name, fault.reason)
        try:
            self._endpoints.lose(fault)
            async with asyncio.timeout(_LEAVE_S):
                while self._endpoints.inside:
                    await asyncio.sleep(_FLUSH_S)
                await asyncio.sleep(_FLUSH_S)
                if self._link is not None:
                    await self._link.stop()
        except Exception:
            _logger.warning(
                "Not all calls were answered before %s ended", self._name, exc_info=True
            )
        try:
            if self._host is not None:
                self._host.stop()
        finally:
            os._exit(1)

    async def __del__(self) -> None:
        """Called by Serve once requests in flight have drained."""
        if self._watching is not None:
            await self._watching.stop()
        if self._link is not None:
            await self._link.stop()
        if self._endpoint is not None:
            self._endpoint.close()
        if self._host is not None:
            self._host.stop()


def hide_gpus(engine: EngineSettings) -> None:
    """Hide GPUs from an engine on the CPU; call before it is imported.

    Ray shows all of them to who asks for none, and SGLang would use what is made for them.
    """
    if engine.device == "cpu":
        os.environ[CUDA_VISIBLE_DEVICES] = ""


@contextmanager
def _errors_of_ours() -> Iterator[None]:
    """Make every error one of ours: others cross processes as what Serve itself raises.

    Raises:
        ScaleSimError: Whatever failed.
    """
    try:
        yield
    except (ScaleSimError, StopAsyncIteration):
        raise
    except Exception as error:
        _logger.exception("A request failed in the replica")
        raise ScaleSimError(
            f"the replica failed at this request ({type(error).__name__}): its log says why"
        ) from None


async def start_engine(host: EngineHost) -> None:
    """Start an engine.

    Raises:
        ReplicaUnavailableError: It did not start; short enough for Serve's first lines.
    """
    try:
        await host.start()
    except Exception as error:
        _logger.exception("The engine did not start")
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS]
        # Without what it comes from: Serve shows the first lines of a traceback.
        raise ReplicaUnavailableError(
            f"the engine did not start ({type(error).__name__}: {reason}): see the replica's log"
        ) from None
