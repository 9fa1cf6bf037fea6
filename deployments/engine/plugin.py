"""Entry point `scalesim` of SGLang's plugin group; inert unless a replica started the engine."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any

from scalesim.deployments.engine.channel import SchedulerEnd
from scalesim.deployments.engine.directive_executor import DirectiveExecutor
from scalesim.deployments.engine.payloads import kinds
from scalesim.deployments.engine.sglang.pass_cost import PassCost, PassCosts
from scalesim.environment import (
    engine_channel_from_env,
    engine_models_from_env,
    engine_payloads_from_env,
)


@dataclass(frozen=True, slots=True)
class Command:
    """A frame on its way from rank 0 to all ranks, among the engine's own requests."""

    frame: bytes


def register() -> None:
    """Register backends and hooks if this engine belongs to a replica; else do nothing."""
    address = engine_channel_from_env()
    if address:
        from scalesim.deployments.engine.sglang import hooks

        hooks.register(ScaleSimPlugin(address))


class ScaleSimPlugin:
    """Our side of `sglang.hooks.Plugin`, one per scheduler process."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: SchedulerEnd | None = None
        self._executor: DirectiveExecutor | None = None
        self._costs: PassCosts | None = None
        self._hurried = False

    def open(self, scheduler: Any) -> None:
        """The scheduler is built and its self-check passed: connect and say hello."""
        from scalesim.deployments.engine.sglang import hooks
        from scalesim.deployments.engine.sglang.scheduler_engine import SchedulerEngine

        engine = SchedulerEngine(scheduler, engine_models_from_env(), engine_payloads_from_env())
        if hooks.is_first_rank():
            self._channel = SchedulerEnd(self._address)
            hooks.wake_on(scheduler, self._channel.socket, lambda: self._hurried)
        send = self._channel.send if self._channel is not None else None
        self._executor = DirectiveExecutor(kinds.build(engine), send)
        self._executor.hello(engine.tree.bytes_per_token)
        self._costs = PassCosts(engine.tree)
        gc.collect()
        gc.freeze()  # what an engine is made of stays: no pass looks through it for garbage

    def receive(self) -> list[Command | PassCost]:
        """Return commands that arrived at this rank, and what it measured for all ranks."""
        if self._channel is None or self._costs is None:
            return []
        return [*map(Command, self._channel.receive()), *self._costs.measured()]

    def accept(self, received: list[Any]) -> list[Any]:
        """Hand commands to the executor, return the engine's own requests."""
        if self._executor is None or self._costs is None:
            return received
        received = self._costs.taken(received)
        self._executor.accept(item.frame for item in received if isinstance(item, Command))
        return [item for item in received if not isinstance(item, Command)]

    def work(self) -> None:
        """Carry out a bounded share of directives and publish what changed."""
        if self._executor is not None:
            self._hurried = self._executor.work()
