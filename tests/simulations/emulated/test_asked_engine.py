"""An engine in this process as agents of a World ask it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.inline import InlineEngine
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.headers import NEXT_USE, STEP
from scalesim.identity import agent_key
from scalesim.simulations.chat_caller import ChatAnswer
from scalesim.simulations.emulated.asked_engine import AskedEngine
from scalesim.simulations.emulated.emulated_controller import CALL_S
from scalesim.simulations.emulated.virtual_loop import VirtualLoop

PASS_S, ANSWER_S, SHARED_S = 1e-3, 0.05, 0.01


class LateEngine:
    """Answers `ANSWER_S` after it was asked, or gives up."""

    def __init__(self, clock: VirtualClock, reason: str = "length") -> None:
        self._clock, self._reason = clock, reason
        self.asked: list[tuple[list[int], int, int, dict[str, Any], EmulatedRequest]] = []

    def ask(self, ids: list[int], output_tokens: int, key: int, **more: Any) -> EmulatedRequest:
        asked = EmulatedRequest(f"r{len(self.asked)}", key)
        asked.done_s = self._clock.now() + ANSWER_S
        self.asked.append((ids, output_tokens, key, more, asked))
        return asked

    def answer(self) -> None:
        for _, _, _, _, asked in self.asked:
            if asked.done_s <= self._clock.now() and not asked.done:
                asked.first_s, asked.done, asked.tokens = asked.done_s - 0.02, True, [3, 8, 1]
                found = {"device": 4, "host": None}
                asked.meta = {"finish_reason": {"type": self._reason}, "prompt_tokens": 9}
                asked.meta |= {"cached_tokens_details": found}


def answers(hinted: bool = True, reason: str = "length") -> tuple[list[ChatAnswer], LateEngine]:
    """What two agents who ask at once are answered."""
    clock = VirtualClock()
    engine, loop = LateEngine(clock, reason), VirtualLoop(clock)
    model = AskedEngine(cast(InlineEngine, engine), "town", hinted, SHARED_S)
    said: list[ChatAnswer] = []

    async def ask(name: str) -> ChatAnswer:
        messages = [{"role": "system", "content": "w0 w7"}, {"role": "user", "content": "w2 hi"}]
        parameters = {"max_tokens": 3, "extra_headers": {NEXT_USE: "2.5", STEP: "4"}}
        return await model.chat(0, name, messages, parameters, None)

    async def main() -> None:
        said.extend(await asyncio.gather(ask("ann"), ask("bob")))

    def go_on() -> None:
        engine.answer()
        model.go_on()

    for _ in loop.script(main(), go_on):
        clock.advance(PASS_S)
    loop.close()
    return said, engine


def test_words_go_there_and_come_back() -> None:
    said, engine = answers()
    ids, output, key, more, _ = engine.asked[0]
    assert (ids, output, key) == ([1, 3, 10, 5, 0], 3, agent_key("town", "ann"))
    assert (more["next_use"], more["priority"]) == (2.5, 4)
    assert said[0].answer.text == "w0 w5 <unk>"
    assert (said[0].answer.output_tokens, said[0].answer.cached.device) == (3, 4)
    assert said[0].usage == {"prompt_tokens": 9, "completion_tokens": 3}


def test_calls_take_their_way_and_share_a_processor() -> None:
    said, _ = answers()
    ways = [one.answer.latency_s - ANSWER_S - 2 * CALL_S for one in said]
    assert ways == pytest.approx([SHARED_S, 2 * SHARED_S], abs=3 * PASS_S)
    assert said[0].answer.ttft_s == pytest.approx(said[0].answer.latency_s - 0.02, abs=2 * PASS_S)


def test_an_arm_that_takes_no_distances_gets_none() -> None:
    _, engine = answers(hinted=False)
    assert not {"next_use", "priority"} & engine.asked[0][3].keys()


def test_what_was_given_up_is_an_error() -> None:
    said, _ = answers(reason="abort")
    assert said[0].answer.error
    assert said[0].answer.text == ""
