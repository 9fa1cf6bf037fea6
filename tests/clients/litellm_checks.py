"""What litellm must find: most simulation frameworks call through it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import litellm

sys.path.insert(0, os.path.dirname(__file__))  # where this runs by itself

from checks import MOOD, Refused, is_mood, main

USER = [{"role": "user", "content": "w1 w2 w3"}]
TOOL = {"type": "function", "function": {"name": "feel", "parameters": MOOD}}


def connect(base_url: str, key: str) -> dict[str, Any]:
    return {"api_base": f"{base_url}/v1", "api_key": key, "num_retries": 0, "timeout": 60}


def ask(client: dict[str, Any], **more: Any) -> Any:
    asked = {"model": "openai/scalesim", "messages": USER, "max_tokens": 6, "temperature": 0}
    return litellm.completion(**{**client, **asked, **more})


def a_chat_is_answered(client: dict[str, Any]) -> None:
    for model in ("openai/scalesim", "hosted_vllm/scalesim", "openai/gpt-4o-mini"):
        answer = ask(client, model=model)
        assert answer.choices[0].message.content
        assert 0 < answer.usage.completion_tokens <= 6


def a_stream_says_the_same(client: dict[str, Any]) -> None:
    stream = ask(client, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ask(client).choices[0].message.content
    assert any(getattr(chunk, "usage", None) for chunk in chunks)


def a_tool_that_must_be_called_is(client: dict[str, Any]) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    answer = ask(client, **asked, max_tokens=200)
    assert is_mood(answer.choices[0].message.tool_calls[0].function.arguments)


def its_own_answers_come_back(client: dict[str, Any]) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    called = ask(client, **asked, max_tokens=200).choices[0].message
    gave = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "w9"}
    for said in (called, called.model_dump(), called.model_dump(exclude_none=True)):
        assert ask(client, messages=[*USER, said, gave], tools=[TOOL]).choices[0].message
    said = ask(client).choices[0].message
    for turn in (said, said.model_dump()):
        assert ask(client, messages=[*USER, turn, *USER]).choices[0].message.content


def coroutines_are_answered(client: dict[str, Any]) -> None:
    async def both() -> tuple[Any, Any]:
        asked = {"model": "openai/scalesim", "messages": USER, "max_tokens": 6, "temperature": 0}
        whole = await litellm.acompletion(**client, **asked)
        stream = await litellm.acompletion(**client, **asked, stream=True)
        return whole, [chunk async for chunk in stream]

    whole, chunks = asyncio.run(both())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content


def other_endpoints_are_reached(client: dict[str, Any]) -> None:
    asked = {"model": "openai/scalesim", "input": "w1 w2 w3", "max_output_tokens": 6}
    assert litellm.responses(**client, **asked).output
    at_its_root = {**client, "api_base": client["api_base"].removesuffix("/v1")}
    answer = ask(at_its_root, model="anthropic/scalesim")
    assert answer.choices[0].message.content
    assert answer.usage.prompt_tokens == ask(client).usage.prompt_tokens
    with Refused(litellm.exceptions.APIError, "ingress.embeddings"):
        litellm.embedding(**client, model="openai/any", input=["w1"])


def an_answer_follows_a_schema(client: dict[str, Any]) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "mood", "schema": MOOD}}
    answer = ask(client, response_format=schema, max_tokens=200)
    assert is_mood(answer.choices[0].message.content)


def a_text_is_completed(client: dict[str, Any]) -> None:
    asked = {"model": "text-completion-openai/scalesim", "prompt": "w1 w2", "max_tokens": 6}
    assert litellm.text_completion(**client, **asked).choices[0].text


def refusals_are_its_own_errors(client: dict[str, Any]) -> None:
    with Refused(litellm.exceptions.BadRequestError, "n"):
        ask(client, n=0)
    with Refused(litellm.exceptions.NotFoundError, "gpt-7"):
        ask(client, model="openai/gpt-7")
    with Refused(litellm.exceptions.AuthenticationError, "API key"):
        ask({**client, "api_key": "wrong"})


CHECKS = [
    a_chat_is_answered,
    a_stream_says_the_same,
    a_tool_that_must_be_called_is,
    its_own_answers_come_back,
    coroutines_are_answered,
    other_endpoints_are_reached,
    an_answer_follows_a_schema,
    a_text_is_completed,
    refusals_are_its_own_errors,
]

if __name__ == "__main__":
    main(CHECKS, connect)
