"""What clients may send, against a real engine: nothing that it cannot take reaches it."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalesim.deployments.calls import AnswerHeader, Call, Endpoint
from scalesim.deployments.requests import REQUESTS, accepted
from scalesim.errors import InvalidRequestError
from tests.support.hostile_bodies import BODY, bodies
from tests.support.real_engine import RealEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.asyncio(loop_scope="session"),
    # Of SGLang's own models.
    pytest.mark.filterwarnings("ignore:(ORJSONResponse|max_tokens) is deprecated"),
]

POOL = 256
SLOW = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"pattern": "(a+)+"}}}
USER = [{"role": "user", "content": "w1 w2"}]


class TextReply(NamedTuple):
    status: int
    body: dict[str, Any]
    pieces: int

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.body["error"])


class RequestAsker:
    def __init__(self, engine: RealEngine) -> None:
        self.engine = engine
        self.undisturbed = ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from scalesim.deployments.engine.openai_endpoints import OpenAIEndpoints
        self.endpoints = OpenAIEndpoints(engine.host.engine, "r", _OwnModel())  # type: ignore[arg-type]

    async def ask(self, endpoint: Endpoint, body: dict[str, Any]) -> TextReply:
        try:
            call = Call(1, endpoint, accepted(endpoint, body), "s")
        except InvalidRequestError as error:
            return TextReply(400, {"error": {"message": str(error), "param": error.field}}, 0)
        pieces = [piece async for piece in self.endpoints.answer(call)]
        head, first = pieces[0]  # type: ignore[misc]
        assert isinstance(head, AnswerHeader)
        decoded = json.loads(first) if head.media_type == "application/json" else {}
        return TextReply(head.status, decoded, len(pieces) - 1)

    async def chat(self, **more: Any) -> TextReply:
        return await self.ask("chat", {"messages": USER, "max_tokens": 2, **more})

    async def complete(self, **more: Any) -> TextReply:
        return await self.ask("completions", {"prompt": "w1 w2", "max_tokens": 2, **more})

    async def lives(self) -> bool:
        return (await asyncio.wait_for(self.complete(temperature=0), 20)).status == 200


class _OwnModel:
    async def of(self, call: Call) -> str:
        return ""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def asker(tiny_model: str) -> AsyncIterator[RequestAsker]:
    parser = {"tool_call_parser": "pythonic"}
    engine = RealEngine(tiny_model, device_tokens=POOL, extra_args=parser)
    await engine.start()
    yield RequestAsker(engine)
    await engine.stop()


def words(count: int) -> str:
    return " ".join(f"w{i % 1000}" for i in range(count))


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("prompt", {"prompt": " "}),
        ("prompt", {"prompt": ["", "w1"]}),
        ("prompt", {"prompt": [5, 151645]}),
        ("prompt", {"prompt": [[5], [151645]]}),
        ("stop_token_ids", {"stop_token_ids": [151645], "min_tokens": 1}),
        ("logit_bias", {"logit_bias": {"151645": 1.0}}),
        ("min_tokens", {"min_tokens": 3}),
        ("min_tokens", {"min_tokens": 10**6, "max_tokens": 10**6 + 1}),
        ("response_format", {"response_format": SLOW}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_engine_cannot_take_is_refused_before_it(
    asker: RequestAsker, field: str, more: dict[str, Any], stream: bool
) -> None:
    reply = await asker.complete(**more, stream=stream)
    assert reply.status == 400
    assert reply.error["param"] in (field, "max_tokens")
    assert await asker.lives()


@pytest.mark.parametrize("stream", [False, True])
async def test_what_does_not_fit_is_refused_with_what_does(
    asker: RequestAsker, stream: bool
) -> None:
    fits = asker.endpoints.limits.context_length
    for prompt, tokens in ((fits + 50, 8), (fits - 2, 40), (100, 2000), (fits, 1)):
        reply = await asker.complete(prompt=words(prompt), max_tokens=tokens, stream=stream)
        assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
        assert str(fits) in reply.error["message"]


@pytest.mark.parametrize("prompt", [1, 100, -1])
async def test_what_fits_is_served_whole(asker: RequestAsker, prompt: int) -> None:
    fits = asker.endpoints.limits.context_length
    prompt = prompt if prompt > 0 else fits - 1
    reply = await asker.complete(
        prompt=words(prompt), max_tokens=fits - prompt, temperature=0, ignore_eos=True
    )
    assert reply.status == 200
    assert reply.body["usage"]["prompt_tokens"] == prompt
    assert reply.body["usage"]["completion_tokens"] == fits - prompt


async def test_a_chat_without_a_length_fills_the_context(asker: RequestAsker) -> None:
    fits = asker.endpoints.limits.context_length
    messages = [{"role": "user", "content": words(fits - 20)}]
    reply = await asker.ask("chat", {"messages": messages, "ignore_eos": True})
    assert reply.status == 200
    assert reply.body["choices"][0]["finish_reason"] == "length"
    assert reply.body["usage"]["total_tokens"] >= fits


async def test_null_is_absent_and_an_empty_stop_ends_nothing(asker: RequestAsker) -> None:
    plain = await asker.chat(temperature=0, ignore_eos=True, max_tokens=4)
    nulls = dict.fromkeys(("frequency_penalty", "n", "stream", "logprobs", "tool_choice"))
    same = await asker.chat(temperature=0, ignore_eos=True, max_tokens=4, stop="", **nulls)
    assert plain.body["usage"]["completion_tokens"] == 4
    assert same.body["choices"] == plain.body["choices"]


async def test_what_the_template_cannot_take_is_the_bodys_fault(asker: RequestAsker) -> None:
    reply = await asker.chat(chat_template_kwargs={"raise_exception": 1, "messages2": [1]})
    assert reply.status == 200
    calls = [{"id": "a", "function": {"name": "f", "arguments": "{"}}]
    reply = await asker.chat(messages=[*USER, {"role": "assistant", "tool_calls": calls}])
    assert reply.status == 400


async def test_formats_and_forced_tools_work_out_of_the_box(asker: RequestAsker) -> None:
    mood = {"type": "object", "properties": {"mood": {"enum": ["calm", "angry"]}}}
    mood |= {"required": ["mood"], "additionalProperties": False}
    schema = {"type": "json_schema", "json_schema": {"name": "mood", "schema": mood}}
    reply = await asker.chat(response_format=schema, max_tokens=64)
    answered = json.loads(reply.body["choices"][0]["message"]["content"])
    assert answered["mood"] in ("calm", "angry")
    tools = [{"type": "function", "function": {"name": "feel", "parameters": mood}}]
    named = {"type": "function", "function": {"name": "feel"}}
    for choice in ("required", named):
        reply = await asker.chat(
            tools=tools, tool_choice=choice, max_tokens=128, parallel_tool_calls=False
        )
        (call, *_) = reply.body["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"])["mood"] in ("calm", "angry")
    assert (await asker.chat(tools=tools)).status == 200


@pytest.mark.parametrize("more", [{"repetition_penalty": 0.66}, {"seed": 7, "temperature": 1}])
async def test_fields_of_sampling_hold_no_engine_up(
    asker: RequestAsker, more: dict[str, Any]
) -> None:
    reply = await asyncio.wait_for(asker.complete(**more), 20)  # compiling takes longer
    assert reply.status == 200


@pytest.mark.parametrize("endpoint", REQUESTS)
@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
async def test_hostile_bodies_harm_nobody(
    asker: RequestAsker, endpoint: Endpoint, data: Any
) -> None:
    body = data.draw(bodies(endpoint))
    length = "max_output_tokens" if endpoint == "responses" else "max_tokens"
    if length in BODY[endpoint] and body.get(length) is None:
        body[length] = 2  # not the whole context, many times
    other = asyncio.ensure_future(asker.complete(temperature=0, max_tokens=4, ignore_eos=True))
    reply = await asyncio.wait_for(asker.ask(endpoint, body), 60)
    assert reply.status in (200, 400, 404)
    if reply.status != 200:
        assert reply.error["message"]
        assert "--" not in reply.error["message"]
    choice = (await asyncio.wait_for(other, 20)).body["choices"][0]
    asker.undisturbed = asker.undisturbed or choice["text"]
    assert (choice["text"], choice["finish_reason"]) == (asker.undisturbed, "length")
