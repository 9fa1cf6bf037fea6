"""An engine in this process with the product's controller beside it: what a crowd calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from benchmarks.gpu.engine_caller import EngineModel, flush
from benchmarks.gpu.noise import Noise
from benchmarks.gpu.variants import Variant
from scalesim.controller.core import Controller
from scalesim.controller.service import ControllerService
from scalesim.deployments.controller_link import Link
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.identity import agent_keys
from scalesim.policies.placement import rendezvous
from scalesim.settings import CatalogSettings, ClientSettings, ControllerSettings, EngineSettings
from scalesim.simulation import Simulation
from scalesim.transports.transport import Report
from scalesim.vocabulary import ReportAck, TransferStats

_NAME = "engine"
_TIMEOUT_S = 10.0
_RESERVE_SHARE = EngineSettings.model_fields["reserve_share"].default


class EngineBackend:
    """One arm over a started engine; make it in the event loop that the engine lives on.

    Args:
        host: A started engine; stays the caller's to stop.
        variant: Which arm. Its controller is made only where the engine can be steered.
        noise: What happens to distances on their way.
        adapters: How many LoRA adapters the engine has loaded, dealt to the agents in turn.
    """

    def __init__(
        self, host: EngineHost, variant: Variant, noise: Noise | None = None, adapters: int = 0
    ) -> None:
        self._manager = host.engine.tokenizer_manager
        self._noise = noise or Noise()
        self._adapters = adapters
        self._reports = variant.reports
        self.service: ControllerService | None = None
        if variant.engine == "scalesim" and host.steered is not None:
            settings = ControllerSettings()
            core = Controller(settings, CatalogSettings(), variant.new_planner(), rendezvous)
            self.service = ControllerService(core, settings)
            self._link = Link(_NAME, self.service, *host.steered, _RESERVE_SHARE)

    async def stop(self) -> None:
        """Let the engine go: no hints and no directives any more."""
        if self.service is not None:
            await self._link.stop()
            await self.service.stop()

    async def empty(self) -> None:
        """Flush the engine's cache on both tiers, once nothing runs."""
        await flush(self._manager)

    async def transfers(self) -> dict[str, TransferStats]:
        """Return what became of moves so far, by kind; empty in arms without a controller."""
        if self.service is None:
            return {}
        replicas = (await self.service.status())["replicas"]
        return {
            kind: TransferStats(**transfer)
            for kind, transfer in replicas[_NAME]["transfers"].items()
        }

    def model(self, simulation: str) -> EngineModel:
        """Return what agents of a simulation ask."""
        return EngineModel(self._manager, simulation, self._adapters)

    def simulation(self, name: str) -> Simulation | None:
        """Return a client that sends hints; None in arms that take none."""
        if self.service is None or not self._reports:
            return None
        transport = _LoopTransport(self.service, asyncio.get_running_loop(), self._noise)
        return Simulation(name, settings=ClientSettings(), transport=transport)


class _LoopTransport:
    """Carries hints from the client's thread to the controller on the event loop."""

    def __init__(
        self,
        service: ControllerService,
        loop: asyncio.AbstractEventLoop,
        noise: Callable[[Report], Report],
    ) -> None:
        self._service = service
        self._loop = loop
        self._noise = noise

    def report(self, simulation: str, report: Report) -> ReportAck:
        report = self._noise(report)
        keys = agent_keys(simulation, report.ids)
        call = self._service.report(simulation, report.epoch, keys, report.distances)
        ack: ReportAck = self._wait(call)
        return ack

    def lifecycle(
        self, simulation: str, pin: Sequence[str], unpin: Sequence[str], done: Sequence[str]
    ) -> None:
        pins, unpins, ended = (agent_keys(simulation, agents) for agents in (pin, unpin, done))
        self._wait(self._service.lifecycle(simulation, pins, unpins, ended))

    def end(self, simulation: str) -> None:
        self._wait(self._service.end(simulation))

    def epoch(self, simulation: str) -> int:
        status = self._wait(self._service.status())
        return int(status["simulations"].get(simulation, {}).get("epoch", 0))

    def close(self) -> None:
        return None

    def _wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(_TIMEOUT_S)
