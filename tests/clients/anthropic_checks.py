"""What Anthropic's library must find, with its own types as the judge."""

from __future__ import annotations

import os
import sys
from typing import Any

import anthropic

sys.path.insert(0, os.path.dirname(__file__))  # where this runs by itself

from checks import MOOD, Refused, main

USER: list[Any] = [{"role": "user", "content": "w1 w2 w3"}]
ASKED: Any = {
    **{"model": "scalesim", "messages": USER, "max_tokens": 6},
    "extra_body": {"temperature": 0},  # later versions have no parameter for it
}
TOOL: Any = {"name": "feel", "input_schema": MOOD}


def connect(base_url: str, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=60)


def create(client: anthropic.Anthropic, **more: Any) -> Any:
    return client.messages.create(**{**ASKED, **more})


def prompt_tokens(answer: Any) -> int:
    usage = answer.usage
    return int(usage.input_tokens + (usage.cache_read_input_tokens or 0))


def a_message_is_answered(client: anthropic.Anthropic) -> None:
    answer = create(client, system="w5")
    assert answer.content[0].text
    assert answer.role == "assistant"
    assert answer.stop_reason in ("max_tokens", "end_turn")
    assert 0 < answer.usage.output_tokens <= 6
    assert prompt_tokens(answer) > 3
    assert answer._request_id


def a_stream_says_the_same(client: anthropic.Anthropic) -> None:
    whole = create(client)
    with client.messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert prompt_tokens(final) == prompt_tokens(whole)
    assert final.stop_reason == whole.stop_reason


def a_tool_that_must_be_called_is(client: anthropic.Anthropic) -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "feel"}):
        one = {**choice, "disable_parallel_tool_use": True}
        answer = create(client, tools=[TOOL], tool_choice=one, max_tokens=200)
        assert answer.stop_reason == "tool_use"
        (call, *_) = [block for block in answer.content if block.type == "tool_use"]
        assert call.input["mood"] in ("calm", "angry")
    block = call.model_dump(include={"type", "id", "name", "input"})
    gave = {"type": "tool_result", "tool_use_id": call.id, "content": "w9"}
    turns = [{"role": "assistant", "content": [block]}, {"role": "user", "content": [gave]}]
    assert create(client, messages=[*USER, *turns], tools=[TOOL]).content


def a_call_of_a_tool_is_streamed(client: anthropic.Anthropic) -> None:
    choice: Any = {"type": "any", "disable_parallel_tool_use": True}
    asked: Any = {**ASKED, "tools": [TOOL], "tool_choice": choice, "max_tokens": 200}
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    (call, *_) = [block for block in final.content if block.type == "tool_use"]
    assert call.input["mood"] in ("calm", "angry")
    assert final.usage.output_tokens > 1


def an_answer_may_be_begun(client: anthropic.Anthropic) -> None:
    begun = [*USER, {"role": "assistant", "content": "w7 w8"}]
    assert prompt_tokens(create(client, messages=begun)) == prompt_tokens(create(client)) + 2


def a_stop_ends_an_answer(client: anthropic.Anthropic) -> None:
    words = create(client).content[0].text.split()
    answer = create(client, stop_sequences=[words[-1]])
    asked: Any = {**ASKED, "stop_sequences": [words[-1]]}
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    for said in (answer, final):
        assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", words[-1])


def what_is_not_supported_is_refused_by_name(client: anthropic.Anthropic) -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x"}}
    with Refused(anthropic.BadRequestError, "messages.0.content.0"):
        create(client, messages=[{"role": "user", "content": [image]}])
    with Refused(anthropic.BadRequestError, "thinking"):
        create(client, thinking={"type": "enabled", "budget_tokens": 2000})
    with Refused(anthropic.NotFoundError, "gpt-7"):
        create(client, model="gpt-7")
    with Refused(anthropic.BadRequestError, "context_length_exceeded"):
        create(client, messages=[{"role": "user", "content": "w1 " * 66_667}])
    with Refused(anthropic.AuthenticationError, "API key"):
        create(client.copy(api_key="wrong"))


CHECKS = [
    a_message_is_answered,
    a_stream_says_the_same,
    a_tool_that_must_be_called_is,
    a_call_of_a_tool_is_streamed,
    an_answer_may_be_begun,
    a_stop_ends_an_answer,
    what_is_not_supported_is_refused_by_name,
]

if __name__ == "__main__":
    main(CHECKS, connect)
