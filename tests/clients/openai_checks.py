"""What OpenAI's library must find, with its own types as the judge."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import openai

sys.path.insert(0, os.path.dirname(__file__))  # where this runs by itself

from checks import MOOD, Refused, is_mood, main

MODEL = "scalesim"
USER: list[Any] = [{"role": "user", "content": "w1 w2 w3"}]
TOOL: Any = {"type": "function", "function": {"name": "feel", "parameters": MOOD}}
SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "mood", "schema": MOOD}}
SHORT: Any = {"model": MODEL, "max_tokens": 6, "temperature": 0, "extra_body": {"ignore_eos": True}}
LONG: Any = {"max_tokens": 200, "extra_body": {}}
ONE_CALL: Any = {**LONG, "tools": [TOOL], "parallel_tool_calls": False}


def connect(base_url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0, timeout=60)


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**{"messages": USER, **SHORT, **more})


def a_chat_is_answered(client: openai.OpenAI) -> None:
    answer = chat(client)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    usage = answer.usage
    assert usage.completion_tokens == 6
    assert usage.total_tokens == usage.prompt_tokens + 6
    assert answer.model == MODEL
    assert answer._request_id


def a_stream_says_the_same_and_its_usage(client: openai.OpenAI) -> None:
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == 6
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"


def tools_may_be_called(client: openai.OpenAI) -> None:
    assert chat(client, tools=[TOOL], tool_choice="auto").choices[0].message
    assert chat(client, tools=[TOOL], tool_choice="none").choices[0].message.content


def a_tool_that_must_be_called_is(client: openai.OpenAI) -> None:
    named = {"type": "function", "function": {"name": "feel"}}
    for choice in ("required", named):
        answer = chat(client, **ONE_CALL, tool_choice=choice)
        assert answer.choices[0].finish_reason == "tool_calls"
        call = answer.choices[0].message.tool_calls[0]
        assert call.function.name == "feel"
        assert is_mood(call.function.arguments)
        assert call.id


def a_call_of_a_tool_is_streamed(client: openai.OpenAI) -> None:
    stream = chat(client, **ONE_CALL, tool_choice="required", stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or () if call.index == 0]
    assert "".join(call.function.name or "" for call in calls) == "feel"
    assert is_mood("".join(call.function.arguments or "" for call in calls))


def an_answer_follows_a_schema(client: openai.OpenAI) -> None:
    answer = chat(client, **LONG, response_format=SCHEMA)
    assert is_mood(answer.choices[0].message.content)
    assert answer.choices[0].finish_reason == "stop"
    stream = chat(client, **LONG, response_format=SCHEMA, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == answer.choices[0].message.content


def logprobs_are_given(client: openai.OpenAI) -> None:
    content = chat(client, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert len(content) == 6
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in content)
    answer = client.completions.create(**SHORT, prompt="w1 w2", logprobs=2)
    found = answer.choices[0].logprobs
    assert found is not None
    assert len(found.tokens or ()) == len(found.token_logprobs or ()) == 6


def several_answers_are_counted_together(client: openai.OpenAI) -> None:
    answer = chat(client, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 18


def usage_is_the_same_streamed_or_whole(client: openai.OpenAI) -> None:
    def counts(usage: Any) -> tuple[int, int, int]:
        return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens

    told: Any = {"stream": True, "stream_options": {"include_usage": True}}
    texts: Any = {**SHORT, "prompt": ["w1 w2", "w3"], "n": 2}
    whole = client.completions.create(**texts)
    *_, last = client.completions.create(**texts, **told)
    assert counts(last.usage) == counts(whole.usage) == (3, 24, 27)
    *_, last = chat(client, n=3, **told)
    assert counts(last.usage) == counts(chat(client, n=3).usage)
    assert last.usage.prompt_tokens == chat(client).usage.prompt_tokens


def what_was_kept_is_counted(client: openai.OpenAI) -> None:
    prompt = [{"role": "user", "content": " ".join(f"w{i}" for i in range(7, 77))}]
    chat(client, messages=prompt)
    again = chat(client, messages=prompt).usage
    told: Any = {"stream": True, "stream_options": {"include_usage": True}}
    *_, last = chat(client, messages=prompt, **told)
    for usage in (again, last.usage):
        assert 0 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens


def a_stop_ends_an_answer(client: openai.OpenAI) -> None:
    words = chat(client).choices[0].message.content.split()
    answer = chat(client, stop=[words[-1]])
    assert words[-1] not in answer.choices[0].message.content.split()
    assert answer.choices[0].finish_reason == "stop"


def a_seed_is_taken(client: openai.OpenAI) -> None:
    assert chat(client, seed=7, temperature=1).choices[0].message.content


def a_prompt_is_echoed(client: openai.OpenAI) -> None:
    answer = client.completions.create(**SHORT, prompt="w1 w2", echo=True)
    assert answer.choices[0].text.startswith("w1 w2")


def prompts_are_texts_or_tokens(client: openai.OpenAI) -> None:
    prompts: list[Any] = [["w1 w2", "w3"], [5, 6, 7], [[5, 6], [7]]]
    for prompt, answers in zip(prompts, (2, 1, 2), strict=True):
        answer = client.completions.create(**SHORT, prompt=prompt)
        assert len(answer.choices) == answers
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 6 * answers


def calls_come_back_without_content(client: openai.OpenAI) -> None:
    function = {"name": "feel", "arguments": '{"mood": "calm"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    gave = {"role": "tool", "tool_call_id": "call_1", "content": "w9"}
    assert chat(client, messages=[*USER, asked, gave], tools=[TOOL]).choices[0].message


def content_may_be_empty(client: openai.OpenAI) -> None:
    empty = [{"role": "user", "content": ""}]
    assert chat(client, messages=empty).choices[0].message.content
    assert chat(client, messages=[*USER, {"role": "assistant", "content": ""}, *USER]).choices


def an_answer_may_be_begun(client: openai.OpenAI) -> None:
    begun = [*USER, {"role": "assistant", "content": "w7 w8"}]
    body = {"continue_final_message": True, "ignore_eos": True}
    answer = chat(client, messages=begun, extra_body=body)
    assert answer.usage.prompt_tokens == chat(client).usage.prompt_tokens + 2


def images_are_refused(client: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with Refused(openai.BadRequestError, "messages.0.content.0"):
        chat(client, messages=[{"role": "user", "content": [image]}])


def developers_may_speak(client: openai.OpenAI) -> None:
    developer = {"role": "developer", "content": "w4"}
    assert chat(client, messages=[developer, *USER]).choices[0].message.content


def long_messages_are_served_or_refused(client: openai.OpenAI) -> None:
    word = [{"role": "user", "content": "x" * 200_000}]
    assert chat(client, messages=word).choices[0].message.content
    with Refused(openai.BadRequestError, "context_length_exceeded", "messages"):
        chat(client, messages=[{"role": "user", "content": "w1 " * 66_667}])


def a_stream_may_be_left(client: openai.OpenAI) -> None:
    stream = chat(client, stream=True, max_tokens=400)
    next(iter(stream))
    stream.close()
    assert chat(client).choices[0].message.content


def a_length_is_given_where_none_is_asked_for(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=USER, temperature=0, extra_body={"ignore_eos": True}
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 32


def models_have_other_names(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert {MODEL, "gpt-4o-mini"} <= set(listed)
    for name in ("gpt-4o-mini", "openai/scalesim", "hosted_vllm/scalesim"):
        assert client.models.retrieve(name).id == name
        assert chat(client, model=name).model == MODEL
    with Refused(openai.NotFoundError, "gpt-7", "model_aliases"):
        chat(client, model="gpt-7")
    with Refused(openai.NotFoundError, "gpt-7"):
        client.models.retrieve("gpt-7")


def what_is_not_supported_is_refused_by_name(client: openai.OpenAI) -> None:
    for name, value in {"zzz": 1, "functions": [], "regex": "a", "audio": {"voice": "x"}}.items():
        with Refused(openai.BadRequestError, name):
            chat(client, extra_body={name: value})


def requests_keep_their_names(client: openai.OpenAI) -> None:
    answer = chat(client, extra_headers={"X-Request-Id": "town-7"})
    assert answer._request_id == "town-7"


def wrong_keys_are_refused(client: openai.OpenAI) -> None:
    with Refused(openai.AuthenticationError, "API key"):
        chat(client.copy(api_key="wrong"))


def embeddings_say_how_to_have_them(client: openai.OpenAI) -> None:
    with Refused(openai.APIStatusError, "ingress.embeddings"):
        client.embeddings.create(model=MODEL, input="w1")


def respond(client: openai.OpenAI, **more: Any) -> Any:
    asked: dict[str, Any] = {"model": MODEL, "input": "w1 w2 w3", "temperature": 0}
    return client.responses.create(**{**asked, "max_output_tokens": 6, **more})


def a_response_is_given(client: openai.OpenAI) -> None:
    answer = respond(client, instructions="w5")
    assert answer.output_text
    assert answer.usage.output_tokens <= 6
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.input_tokens_details.cached_tokens >= 0
    assert answer.status in ("completed", "incomplete")


def a_response_is_streamed(client: openai.OpenAI) -> None:
    whole = respond(client)
    events = list(respond(client, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text
    assert events[0].type == "response.created"
    assert events[-1].response.usage.output_tokens == whole.usage.output_tokens
    assert events[-1].response.output[0].content[0].text == text


def a_response_follows_a_schema(client: openai.OpenAI) -> None:
    text = {"format": {"type": "json_schema", "name": "mood", "schema": MOOD, "strict": True}}
    assert is_mood(respond(client, max_output_tokens=200, text=text).output_text)


def a_response_calls_tools(client: openai.OpenAI) -> None:
    tool = {"type": "function", "name": "feel", "parameters": MOOD, "strict": False}
    for choice in ("required", {"type": "function", "name": "feel"}):
        asked = {"tools": [tool], "tool_choice": choice, "max_output_tokens": 200}
        asked["parallel_tool_calls"] = False
        answer = respond(client, **asked)
        (call, *_) = [item for item in answer.output if item.type == "function_call"]
        assert is_mood(call.arguments)
        streamed = list(respond(client, **asked, stream=True))[-1].response
        assert [json.loads(item.arguments) for item in streamed.output]
    gave = {"type": "function_call_output", "call_id": call.call_id, "output": "w9"}
    said = {"role": "user", "content": [{"type": "input_text", "text": "w1"}]}
    replayed = respond(client, input=[said, call.model_dump(exclude_none=True), gave], tools=[tool])
    assert replayed.output


def what_a_response_cannot_is_refused(client: openai.OpenAI) -> None:
    with Refused(openai.BadRequestError, "previous_response_id"):
        respond(client, previous_response_id="resp_1")
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    with Refused(openai.BadRequestError, "input.0.content.0"):
        respond(client, input=[{"role": "user", "content": [image]}])
    with Refused(openai.BadRequestError, "context_length_exceeded"):
        respond(client, input="w1 " * 66_667, stream=True)


CHECKS = [
    a_chat_is_answered,
    a_stream_says_the_same_and_its_usage,
    tools_may_be_called,
    a_tool_that_must_be_called_is,
    a_call_of_a_tool_is_streamed,
    an_answer_follows_a_schema,
    logprobs_are_given,
    several_answers_are_counted_together,
    usage_is_the_same_streamed_or_whole,
    what_was_kept_is_counted,
    a_stop_ends_an_answer,
    a_seed_is_taken,
    a_prompt_is_echoed,
    prompts_are_texts_or_tokens,
    calls_come_back_without_content,
    content_may_be_empty,
    an_answer_may_be_begun,
    images_are_refused,
    developers_may_speak,
    long_messages_are_served_or_refused,
    a_stream_may_be_left,
    a_length_is_given_where_none_is_asked_for,
    models_have_other_names,
    what_is_not_supported_is_refused_by_name,
    requests_keep_their_names,
    wrong_keys_are_refused,
    embeddings_say_how_to_have_them,
    a_response_is_given,
    a_response_is_streamed,
    a_response_follows_a_schema,
    a_response_calls_tools,
    what_a_response_cannot_is_refused,
]

if __name__ == "__main__":
    main(CHECKS, connect)
