"""Anthropic's messages, and tokens, over SGLang's own code with a chat endpoint without engine."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.requests import accepted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scalesim.deployments.engine import boot  # noqa: F401  makes SGLang importable

    from scalesim.deployments.engine.sglang import engine_endpoints  # isort: skip
    from sglang.srt.entrypoints.openai import protocol  # isort: skip

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
TOOL = {"name": "feel", "input_schema": {"type": "object"}}


class ChatCall:
    """Keeps what is asked, answers `w1 w2` until a stop."""

    supports_inline_system = False

    def __init__(self, stop: str | int | None = None) -> None:
        self.asked: Any = None
        self._stop = stop

    async def check(self, request: Any) -> None:
        self.asked = request

    def _convert_to_internal_request(self, request: Any, raw: Any) -> tuple[None, Any]:
        return None, request

    async def _handle_non_streaming_request(self, internal: Any, asked: Any, raw: Any) -> Any:
        choice = {"index": 0, "finish_reason": "stop", "matched_stop": "w3"}
        choice["message"] = {"role": "assistant", "content": "w1 w2"}
        answer = {"id": "x", "model": asked.model, "choices": [choice], "usage": USAGE}
        return protocol.ChatCompletionResponse.model_validate(answer)

    async def _generate_chat_stream(self, *_: Any) -> AsyncIterator[str]:
        stop = {"finish_reason": "length" if self._stop is None else "stop"}
        stop["matched_stop"] = self._stop
        for text, why in (("w1", {}), (" w2", stop)):
            choice = {"index": 0, "delta": {"content": text}, **why}
            chunk = {"id": "x", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
            whole = protocol.ChatCompletionStreamResponse.model_validate(chunk)
            yield f"data: {whole.model_dump_json()}\n\n"
        yield "data: [DONE]\n\n"


async def ask(stop: str | int | None = None, **more: Any) -> tuple[Any, Any]:
    chat = ChatCall(stop)
    messages = engine_endpoints.MessagesEndpoint(chat)
    usual = {"model": "scalesim", "max_tokens": 6, "messages": [{"role": "user", "content": "w1"}]}
    request = messages.request_model(**accepted("messages", {**usual, **more}))
    await messages.check(request)
    return chat.asked, await messages.answer(request)


async def test_a_message_says_what_stopped_it() -> None:
    asked, answer = await ask(system="w5")
    assert asked.messages[0].content == "w5"
    message = json.loads(bytes(answer.body))
    assert message["content"] == [{"type": "text", "text": "w1 w2"}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "w3")
    assert message["usage"] == {"input_tokens": 5, "output_tokens": 2}


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [({"type": "any"}, "required"), ({"type": "tool", "name": "feel"}, "feel")],
)
async def test_a_tool_that_must_be_called_is_said_so(choice: Any, wanted: str) -> None:
    asked, _ = await ask(tools=[TOOL], tool_choice={**choice, "disable_parallel_tool_use": True})
    assert asked.parallel_tool_calls is False
    assert wanted in str(asked.tool_choice)


async def test_an_answer_may_be_begun() -> None:
    begun = [{"role": "user", "content": "w1"}, {"role": "assistant", "content": "w7"}]
    assert (await ask(messages=begun))[0].continue_final_message is True
    assert (await ask())[0].continue_final_message is False


async def test_events_are_anthropics() -> None:
    _, answer = await ask(stream=True)
    events = [event async for event in answer.body_iterator]
    names = [event.split("\n", 1)[0].removeprefix("event: ") for event in events]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    sent = [json.loads(event.split("data: ", 1)[1]) for event in events]
    assert (
        "".join(one["delta"]["text"] for one in sent if "text" in one.get("delta", {})) == "w1 w2"
    )
    assert sent[-2]["usage"]["output_tokens"] == 2


@pytest.mark.parametrize(
    ("stop", "reason"),
    [(None, ("max_tokens", None)), (2, ("end_turn", None)), ('a"b', ("stop_sequence", 'a"b'))],
)
async def test_a_stream_says_what_stopped_it(stop: Any, reason: tuple[str, str | None]) -> None:
    _, answer = await ask(stop, stream=True)
    (last,) = [
        json.loads(event.split("data: ", 1)[1])
        async for event in answer.body_iterator
        if event.startswith("event: message_delta")
    ]
    assert (last["delta"]["stop_reason"], last["delta"].get("stop_sequence")) == reason
    assert last["usage"]["output_tokens"] == 2


@pytest.mark.filterwarnings("ignore:ORJSONResponse is deprecated")
async def test_what_a_template_cannot_take_has_no_tokens_and_is_the_asker_s_fault() -> None:
    def render(*_: Any) -> None:
        raise ZeroDivisionError("{{ 1 // n }}")

    tokens = object.__new__(engine_endpoints.TokenizeEndpoint)
    tokens.tokenizer_manager = SimpleNamespace(
        tokenizer=None, model_config=SimpleNamespace(is_multimodal=False, context_len=8)
    )
    tokens.chat_serving = SimpleNamespace(
        _validate_request=lambda request: None, _process_messages=render
    )
    messages = [{"role": "user", "content": "w1"}]
    request = tokens.request_model(**accepted("tokenize", {"model": "m", "messages": messages}))
    answer = await tokens.answer(request)
    assert (answer.status_code, b"chat template cannot take" in answer.body) == (400, True)
