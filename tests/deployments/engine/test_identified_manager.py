"""What a request starts in the engine is its own, and ends with it."""

from __future__ import annotations

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
from scalesim.deployments.engine.engine_calls import UNDER_WAY, EngineCall
from scalesim.errors import AnswerAbortedError, InvalidRequestError, ReplicaUnavailableError

LIMITS = EngineLimits(vocabulary=1000, context_length=100, grammar=False)


@pytest.fixture(scope="module")
def engine() -> Any:
    """Our module, imported as in a replica: SGLang's own imports warn of what is theirs."""
    assert boot  # prepares a machine without a GPU for them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("sglang.srt.managers.io_struct")
        return importlib.import_module("scalesim.deployments.engine.sglang.identified_manager")


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


def under_way() -> EngineCall:
    found = EngineCall(Call(1, "completions", {}, "salt"))
    UNDER_WAY.set(found)
    return found


def request(text: Any = "w1", **more: Any) -> Any:
    from sglang.srt.managers.io_struct import GenerateReqInput

    return GenerateReqInput(text=text, sampling_params={}, **more)


async def test_no_callers_id_reaches_the_engine_and_none_begins_another(engine: Any) -> None:
    manager = FakeManager(None)
    inside = under_way()
    batch = request(["w1"] * 12, rid="agent-1")
    for asked in (request(rid="agent-1"), request(rid="agent-10"), batch):
        async for _ in engine.IdentifiedManager(manager, LIMITS).generate_request(asked):
            pass
    rids = inside.rids
    assert len(rids) == len(set(rids)) == 14
    assert not any(one.startswith("agent") for one in rids)
    assert not any(a != b and a.startswith(b) for a in rids for b in rids)


async def test_a_calls_step_is_its_requests_priority(engine: Any) -> None:
    for step in (4, None):
        UNDER_WAY.set(EngineCall(Call(1, "completions", {}, "salt", step=step)))
        asked = request(priority=9)
        async for _ in engine.IdentifiedManager(FakeManager(None), LIMITS).generate_request(asked):
            pass
        assert asked.priority == step


async def test_leaving_an_answer_ends_it_in_the_engine(engine: Any) -> None:
    manager = FakeManager(None, None, None)
    under_way()
    answers = engine.IdentifiedManager(manager, LIMITS).generate_request(request(stream=True))
    await anext(answers)
    assert manager.open == 1
    await answers.aclose()  # type: ignore[attr-defined]
    assert manager.open == 0


async def test_an_aborted_answer_is_an_error_for_whoever_waits_for_it(engine: Any) -> None:
    manager = FakeManager(None, {"type": "abort", "message": "Aborted"})
    inside = under_way()
    answers = engine.IdentifiedManager(manager, LIMITS).generate_request(request(stream=True))
    await anext(answers)
    with pytest.raises(AnswerAbortedError, match="without an answer"):
        await anext(answers)
    assert isinstance(inside.fault, AnswerAbortedError)
    assert manager.open == 0


async def test_what_the_engine_refuses_before_its_first_token_is_the_callers_fault(
    engine: Any,
) -> None:
    reason = {"type": "abort", "message": "too long", "status_code": HTTPStatus.BAD_REQUEST}
    inside = under_way()
    manager = FakeManager(reason)
    with pytest.raises(ValueError, match="too long"):
        await anext(engine.IdentifiedManager(manager, LIMITS).generate_request(request()))
    assert isinstance(inside.fault, InvalidRequestError)
    assert manager.open == 0


async def test_the_next_under_suspicion_begins_once_a_whole_answer_has_its_first_token(
    engine: Any,
) -> None:
    stop = {"type": "stop"}
    inside, manager = under_way(), FakeManager(None, None, stop)
    inside.call = inside.call._replace(under_suspicion=True)
    begun: list[int] = []
    inside.turn.callback(lambda: begun.append(manager.open))
    answers = engine.IdentifiedManager(manager, LIMITS).generate_request(request())
    assert [answer["meta_info"]["finish_reason"] async for answer in answers] == [stop]
    assert (manager.streamed, begun) == ([True], [1])


async def test_a_whole_answer_that_is_refused_half_way_is_no_answer(engine: Any) -> None:
    reason = {"type": "abort", "message": "no memory", "status_code": HTTPStatus(503)}
    inside, manager = under_way(), FakeManager(None, reason)
    inside.call = inside.call._replace(under_suspicion=True)
    with pytest.raises(ValueError, match="no memory"):
        await anext(engine.IdentifiedManager(manager, LIMITS).generate_request(request()))
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
        inside = under_way()
        inside.call = inside.call._replace(body=body, under_suspicion=suspected)
        async for _ in engine.IdentifiedManager(manager, LIMITS).generate_request(request()):
            pass
    assert manager.streamed == [False] * 3


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
    inside = under_way()
    inside.call.body["response_format"] = {"type": "json_object"}
    answers = engine.IdentifiedManager(FakeManager(raised), LIMITS).generate_request(request())
    with pytest.raises(type(raised)):
        await anext(answers)
    assert isinstance(inside.fault, kind)
    assert getattr(inside.fault, "field", None) == field
