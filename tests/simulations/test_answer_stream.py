"""Streamed answers are put together again: text, tools and counts."""

from __future__ import annotations

import json

import httpx

from scalesim.simulations.answer_stream import AnswerStream


def response(*deltas: dict[str, object], done: bool = True) -> httpx.Response:
    events: list[object] = [{"choices": [{"delta": delta}]} for delta in deltas]
    events.append({"choices": [], "usage": {"completion_tokens": 5, "prompt_tokens": 7}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return httpx.Response(200, text="".join([*lines, "data: [DONE]\n\n" if done else ""]))


async def test_pieces_of_text_are_passed_on() -> None:
    pieces: list[str] = []
    stream = AnswerStream(pieces.append)
    await stream.read(response({"role": "assistant"}, {"content": "he"}, {"content": "llo"}))
    assert pieces == ["he", "llo"]
    assert stream.message() == {"role": "assistant", "content": "hello"}
    assert (stream.output_tokens, stream.usage["prompt_tokens"]) == (5, 7)
    assert stream.error == ""


async def test_tools_are_put_together() -> None:
    stream = AnswerStream()
    first = {"index": 0, "id": "a", "function": {"name": "move", "arguments": '{"to"'}}
    second = {"index": 1, "id": "b", "function": {"name": "stay", "arguments": "{}"}}
    rest = {"index": 0, "function": {"arguments": ": 3}"}}
    await stream.read(response(*({"tool_calls": [piece]} for piece in (first, second, rest))))
    called = [(c["id"], *c["function"].values()) for c in stream.message()["tool_calls"]]
    assert called == [("a", "move", '{"to": 3}'), ("b", "stay", "{}")]


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    stream = AnswerStream()
    await stream.read(response({"content": "he"}, done=False))
    assert stream.error == "the stream ended before [DONE]"
