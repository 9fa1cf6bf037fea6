"""Fields of answers as the reference has them are those that the stack sends."""

from __future__ import annotations

import json

import numpy as np

from docs.generate.http_answers import AGENT, EVENT, STATUS
from scalesim.controller.service import ControllerService
from scalesim.deployments.trace_recorder import TraceRecorder
from scalesim.headers import CachedTokens
from scalesim.identity import agent_keys
from scalesim.settings import ControllerSettings
from tests.support.controller_world import make_controller

OF_THE_ACTOR = {"catalog", "metrics"}


async def test_an_agent_and_the_status() -> None:
    core = make_controller()
    service = ControllerService(core, ControllerSettings())
    core.report("town", 3, agent_keys("town", ["ann"]), np.zeros(1, np.float32))
    try:
        assert (await service.agent("town", "ann")).keys() == AGENT.keys()
        assert (await service.status()).keys() | OF_THE_ACTOR == STATUS.keys()
    finally:
        await service.stop()


async def test_an_event_of_the_trace() -> None:
    recorder = TraceRecorder(lambda simulation: 7)
    feed = recorder.listen("town")
    assert await anext(feed) == "\n"
    recorder.emit("town", "ann", CachedTokens(800, 500, 200, 100), 16, 0.5)
    assert json.loads(await anext(feed)).keys() == EVENT.keys()
    recorder.close()
