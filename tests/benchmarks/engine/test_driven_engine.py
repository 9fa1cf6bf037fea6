"""An engine moved by hand, its scheduler a plain executor in this process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from benchmarks.engine.driven_engine import DrivenEngine
from scalesim.controller.core import Controller
from scalesim.deployments.engine.directive_executor import DirectiveExecutor
from scalesim.deployments.engine.engine_host import SchedulerLink
from scalesim.deployments.engine.messages import Hello, Message, encode
from scalesim.policies.placement import rendezvous
from scalesim.policies.planner import DistancePlanner
from scalesim.settings import CatalogSettings, ControllerSettings
from scalesim.vocabulary import Budgets, Directives, Tier, Verb
from tests.support.fake_payload import FakePayload


class Scheduler:
    """Both ends of a channel: what is sent is carried out at once."""

    def __init__(self) -> None:
        self.payload = FakePayload()
        self._executor = DirectiveExecutor({"fake": self.payload})

    async def send(self, message: Message) -> None:
        self._executor.accept([encode(message)])
        self._executor.work()

    async def receive(self) -> Message:
        return await asyncio.Future()


async def test_an_engine_obeys_it_after_a_controller() -> None:
    scheduler = Scheduler()
    controller = Controller(ControllerSettings(), CatalogSettings(), DistancePlanner(), rendezvous)
    await scheduler.send(Directives(controller.incarnation, 0, resync=True))
    link = SchedulerLink(scheduler, Hello(("fake",), (Budgets(1, 1, 1),), 1))
    host = SimpleNamespace(steered=link, engine=SimpleNamespace(tokenizer_manager=None))
    driven = DrivenEngine(host)
    try:
        await driven.move(Verb.DEMOTE, [7], Tier.HOST, "fake")
    finally:
        await driven.stop()
    assert scheduler.payload.calls[-1] == ("demote", 7, Tier.HOST)
