"""What a request starts in the engine is its own, and ends with it."""

from __future__ import annotations

import asyncio
import importlib
import warnings
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from scalesim.deployments.calls import Call
from scalesim.deployments.engine import boot
from scalesim.deployments.engine.admission import EngineLimits
from scalesim.deployments.engine.watch import EngineFault
from scalesim.deployments.suspects import EngineLostError, Suspicion
from scalesim.errors import AnswerAbortedError, InvalidRequestError, ReplicaUnavailableError

LIMITS = EngineLimits(vocabulary=1000, context_length=100, grammar=False)


@pytest.fixture(scope="module")
def engine() -> Any:
    """Our module, imported as in a replica: SGLang's own imports warn of what is theirs."""
    assert boot  # prepares a machine without a GPU for them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("scalesim.deployments.engine.openai_endpoints")


class FakeManager:
    """SGLang's tokenizer manager: gives what it is set to, notes what is asked and what ended."""

    def __init__(self, *reasons: Any) -> None:
        self.rids: list[Any] = []
        self.streamed: list[bool] = []
        self.incremental_streaming_output = False
        self.open = 0
        self._reasons = reasons

    async def _tokenize_texts(self, texts: list[str]) -> tuple[list[list[int]], None]:
        return [[1] for _ in texts], None

    async def generate_request(self, request: Any, raw: Any) -> AsyncIterator[Any]:
        request.normalize_batch_and_arguments()
        self.rids.append(request.rid)
        self.streamed.append(request.stream)
        self.open += 1
        try:
            for reason in self._reasons:
                if isinstance(reason, Exception):
                    raise reason
                yield {"meta_info": {"id": "x", "prompt_tokens": 1, "finish_reason": reason}}
        finally:
            self.open -= 1


def trip(engine: Any) -> Any:
    found = engine._Trip(Call(1, "completions", {}, "salt"))
    engine._TRIP.set(found)
    return found


def request(text: Any = "w1", **more: Any) -> Any:
    from sglang.srt.managers.io_struct import GenerateReqInput

    return GenerateReqInput(text=text, sampling_params={}, **more)


async def test_no_callers_id_reaches_the_engine_and_none_begins_another(engine: Any) -> None:
    manager = FakeManager(None)
    inside = trip(engine)
    batch = request(["w1"] * 12, rid="agent-1")
    for asked in (request(rid="agent-1"), request(rid="agent-10"), batch):
        async for _ in engine._IdentifiedManager(manager, LIMITS).generate_request(asked):
            pass
    rids = inside.rids
    assert len(rids) == len(set(rids)) == 14
    assert not any(one.startswith("agent") for one in rids)
    assert not any(a != b and a.startswith(b) for a in rids for b in rids)


async def test_leaving_an_answer_ends_it_in_the_engine(engine: Any) -> None:
    manager = FakeManager(None, None, None)
    trip(engine)
    answers = engine._IdentifiedManager(manager, LIMITS).generate_request(request(stream=True))
    await anext(answers)
    assert manager.open == 1
    await answers.aclose()  # type: ignore[attr-defined]
    assert manager.open == 0


async def test_an_aborted_answer_is_an_error_for_whoever_waits_for_it(engine: Any) -> None:
    manager = FakeManager(None, {"type": "abort", "message": "Aborted"})
    inside = trip(engine)
    answers = engine._IdentifiedManager(manager, LIMITS).generate_request(request(stream=True))
    await anext(answers)
    with pytest.raises(AnswerAbortedError, match="without an answer"):
        await anext(answers)
    assert isinstance(inside.fault, AnswerAbortedError)
    assert manager.open == 0


async def test_what_the_engine_refuses_before_its_first_token_is_the_callers_fault(
    engine: Any,
) -> None:
    reason = {"type": "abort", "message": "too long", "status_code": HTTPStatus.BAD_REQUEST}
    inside = trip(engine)
    manager = FakeManager(reason)
    with pytest.raises(ValueError, match="too long"):
        await anext(engine._IdentifiedManager(manager, LIMITS).generate_request(request()))
    assert isinstance(inside.fault, InvalidRequestError)
    assert manager.open == 0


class ManagedRequest:
    """A request as SGLang's manager has it."""

    def __init__(self, rid: str) -> None:
        self.rid = rid


def endpoints(engine: Any, entered: bool = True) -> Any:
    """Endpoints whose engine never answers, or gives a first piece and nothing more."""

    class Silent(engine.OpenAIEndpoints):  # type: ignore[misc]
        def __init__(self) -> None:
            self._name = "r1"
            self._inside, self._lost, self._fault, self._blamed = {}, {}, None, {}
            self._one_under_suspicion = asyncio.Lock()

        async def _answer(self, trip: Any) -> AsyncIterator[Any]:
            if entered:
                trip.requests.append(ManagedRequest(trip.call.body["rid"]))
            if trip.call.body.get("begins"):
                yield b"first"
            await asyncio.Event().wait()

    return Silent()


def call(rid: str, **more: Any) -> Call:
    return Call(1, "chat", {"rid": rid, **more}, "salt")


async def end_of(answers: Any) -> Suspicion:
    with pytest.raises(EngineLostError, match="r1 lost its engine: it crashed") as caught:
        await anext(answers)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    return caught.value.verdict


async def test_every_call_learns_what_is_known_of_it(engine: Any) -> None:
    silent = endpoints(engine)
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


async def test_what_had_not_reached_the_engine_is_no_cause(engine: Any) -> None:
    silent = endpoints(engine, entered=False)
    waiting = asyncio.create_task(end_of(silent.answer(call("a"))))
    await asyncio.sleep(0)
    silent.lose(EngineFault("it crashed", True))
    assert await waiting == Suspicion.INNOCENT


async def test_those_under_suspicion_enter_one_at_a_time_and_their_equals_not_at_all(
    engine: Any,
) -> None:
    silent = endpoints(engine)
    suspect = call("a")._replace(under_suspicion=True)
    asked = (suspect, suspect, call("b")._replace(under_suspicion=True))
    waiting = [asyncio.create_task(end_of(silent.answer(each))) for each in asked]
    await asyncio.sleep(0)
    assert [len(trip.requests) for trip in silent._inside] == [1, 0, 0]
    silent.lose(EngineFault("it crashed", True))
    assert await asyncio.gather(*waiting) == [
        Suspicion.CAUSE,
        Suspicion.CAUSE,
        Suspicion.INNOCENT,
    ]
    assert await end_of(silent.answer(suspect)) == Suspicion.CAUSE  # on its way meanwhile


async def test_the_next_under_suspicion_begins_once_a_whole_answer_has_its_first_token(
    engine: Any,
) -> None:
    stop = {"type": "stop"}
    inside, manager = trip(engine), FakeManager(None, None, stop)
    inside.call = inside.call._replace(under_suspicion=True)
    begun: list[int] = []
    inside.turn.callback(lambda: begun.append(manager.open))
    answers = engine._IdentifiedManager(manager, LIMITS).generate_request(request())
    assert [answer["meta_info"]["finish_reason"] async for answer in answers] == [stop]
    assert (manager.streamed, begun) == ([True], [1])


async def test_a_whole_answer_that_is_refused_half_way_is_no_answer(engine: Any) -> None:
    reason = {"type": "abort", "message": "no memory", "status_code": HTTPStatus(503)}
    inside, manager = trip(engine), FakeManager(None, reason)
    inside.call = inside.call._replace(under_suspicion=True)
    with pytest.raises(ValueError, match="no memory"):
        await anext(engine._IdentifiedManager(manager, LIMITS).generate_request(request()))
    assert isinstance(inside.fault, ReplicaUnavailableError)


async def test_of_several_choices_and_without_suspicion_all_is_asked_for_as_it_came(
    engine: Any,
) -> None:
    manager = FakeManager({"type": "stop"})
    for body, suspected, increments in (
        ({}, False, False),
        ({"n": 2}, True, False),
        ({}, True, True),
    ):
        manager.incremental_streaming_output = increments
        inside = trip(engine)
        inside.call = inside.call._replace(body=body, under_suspicion=suspected)
        async for _ in engine._IdentifiedManager(manager, LIMITS).generate_request(request()):
            pass
    assert manager.streamed == [False] * 3


async def test_who_goes_away_is_cancelled_and_no_more(engine: Any) -> None:
    silent = endpoints(engine)
    waiting = asyncio.create_task(end_of(silent.answer(call("a"))))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert silent.inside == 0


@pytest.mark.parametrize(
    ("raised", "kind", "field"),
    [
        (ValueError("Failed to compile json grammar: no"), InvalidRequestError, "response_format"),
        (ValueError("something else"), InvalidRequestError, None),
        (
            HTTPException(500, "Grammar accept_token failed: 0"),
            InvalidRequestError,
            "response_format",
        ),
        (HTTPException(503, "The queue is full"), ReplicaUnavailableError, None),
    ],
)
async def test_what_the_engine_raises_is_raised_as_ours(
    engine: Any, raised: Exception, kind: type[Exception], field: str | None
) -> None:
    inside = trip(engine)
    inside.call.body["response_format"] = {"type": "json_object"}
    answers = engine._IdentifiedManager(FakeManager(raised), LIMITS).generate_request(request())
    with pytest.raises(type(raised)):
        await anext(answers)
    assert isinstance(inside.fault, kind)
    assert getattr(inside.fault, "field", None) == field
