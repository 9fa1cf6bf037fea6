"""Calls that are answered, and how they end where their engine is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from scalesim.deployments.calls import AnswerPart, Call
from scalesim.deployments.engine.engine_calls import EngineCall, EngineCalls
from scalesim.deployments.engine.watch import EngineFault
from scalesim.deployments.suspects import EngineLostError, Suspicion


class ManagedRequest:
    """A request as SGLang's manager has it."""

    def __init__(self, rid: str) -> None:
        self.rid = rid


class SilentCalls(EngineCalls):
    """Calls of an engine that never answers, or gives a first piece and nothing more.

    Attributes:
        begun: Those that it was given.
    """

    def __init__(self, entered: bool = True) -> None:
        super().__init__("r1", self.serve)
        self.begun: list[Call] = []
        self.entered = entered

    async def serve(self, one: EngineCall) -> AsyncGenerator[AnswerPart, None]:
        self.begun.append(one.call)
        if self.entered:
            one.requests.append(ManagedRequest(one.call.body["rid"]))
        if one.call.body.get("begins"):
            yield b"first"
        await asyncio.Event().wait()


def call(rid: str, **more: Any) -> Call:
    return Call(1, "chat", {"rid": rid, **more}, "salt")


async def end_of(answers: Any) -> Suspicion:
    with pytest.raises(EngineLostError, match="r1 lost its engine: it crashed") as caught:
        await anext(answers)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    return caught.value.verdict


async def test_every_call_learns_what_is_known_of_it() -> None:
    silent = SilentCalls()
    begun = silent.answer(call("c", begins=True))
    assert await anext(begun) == b"first"
    waiting = [asyncio.create_task(end_of(silent.answer(call(rid)))) for rid in "ab"]
    await asyncio.sleep(0)
    silent.lose(EngineFault("it crashed", True, frozenset({"a", "c"})))
    ends = await asyncio.gather(*waiting)
    assert [*ends, await end_of(begun)] == [
        Suspicion.POSSIBLE,
        Suspicion.INNOCENT,
        Suspicion.POSSIBLE,
    ]
    assert await end_of(silent.answer(call("late"))) == Suspicion.INNOCENT
    assert silent.inside == 0


async def test_what_had_not_reached_the_engine_is_no_cause() -> None:
    silent = SilentCalls(entered=False)
    waiting = asyncio.create_task(end_of(silent.answer(call("a"))))
    await asyncio.sleep(0)
    silent.lose(EngineFault("it crashed", True))
    assert await waiting == Suspicion.INNOCENT


async def test_those_under_suspicion_enter_one_at_a_time_and_their_equals_not_at_all() -> None:
    silent = SilentCalls()
    suspect = call("a")._replace(under_suspicion=True)
    asked = (suspect, suspect, call("b")._replace(under_suspicion=True))
    waiting = [asyncio.create_task(end_of(silent.answer(each))) for each in asked]
    await asyncio.sleep(0)
    assert silent.begun == [suspect]
    silent.lose(EngineFault("it crashed", True))
    assert await asyncio.gather(*waiting) == [
        Suspicion.CAUSE,
        Suspicion.CAUSE,
        Suspicion.INNOCENT,
    ]
    assert await end_of(silent.answer(suspect)) == Suspicion.CAUSE  # on its way meanwhile


async def test_who_goes_away_is_cancelled_and_no_more() -> None:
    silent = SilentCalls()
    waiting = asyncio.create_task(end_of(silent.answer(call("a"))))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert silent.inside == 0
