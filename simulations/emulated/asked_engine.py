"""What agents of a World ask where the engine is in this process, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from scalesim.deployments.engine.emulation.inline import InlineEngine
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.headers import NEXT_USE, STEP, CachedTokens
from scalesim.identity import agent_key
from scalesim.me import Chat, TextListener
from scalesim.simulations.chat_caller import Answer, ChatAnswer
from scalesim.simulations.emulated.emulated_controller import CALL_S
from scalesim.vocabulary import TIERS

_FIRST_WORD, _UNKNOWN = 3, 0


class AskedEngine:
    """An engine asked in words of the random model; see `AskedModel`.

    A call takes `CALL_S` on its way there and on its way back, and `call_s` of a processor that all
    callers share; `stop` and other sampling parameters are not read.

    Args:
        engine: Answers.
        simulation: Namespace of the agents.
        hinted: Whether it takes the distances and steps that come with calls.
        call_s: Seconds of the processor for one call, of a calibration.
    """

    def __init__(self, engine: InlineEngine, simulation: str, hinted: bool, call_s: float) -> None:
        self._engine, self._simulation = engine, simulation
        self._hinted, self._call_s = hinted, call_s
        self._free_s = 0.0
        self._waiting: list[tuple[EmulatedRequest, asyncio.Future[None]]] = []

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        """See `AskedModel.chat`."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._free_s = max(begun, self._free_s) + self._call_s
        await asyncio.sleep(self._free_s - begun + CALL_S)
        asked = self._engine.ask(
            [1, *(_token(word) for said in messages for word in str(said["content"]).split())],
            int(parameters["max_tokens"]),
            agent_key(self._simulation, agent),
            stream=True,
            return_logprob=False,
            top_logprobs_num=0,
            **self._hints(parameters),
        )
        answered = loop.create_future()
        self._waiting.append((asked, answered))
        await answered
        await asyncio.sleep(CALL_S)
        answer = _answer(asked, begun, loop.time())
        if on_text is not None:
            on_text(answer.text)
        message = {"role": "assistant", "content": answer.text}
        usage = {
            "prompt_tokens": answer.cached.prompt,
            "completion_tokens": answer.output_tokens,
        }
        return ChatAnswer(answer, message, usage)

    async def close(self) -> None:
        """Nothing is held."""

    def go_on(self) -> None:
        """Hand over the answers that are complete; called once a pass."""
        for asked, answered in self._waiting:
            if asked.done and not answered.done():
                answered.set_result(None)
        self._waiting = [one for one in self._waiting if not one[0].done]

    def _hints(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        said = parameters.get("extra_headers", {}) if self._hinted else {}
        hints: dict[str, Any] = {}
        if NEXT_USE in said:
            hints["next_use"] = float(said[NEXT_USE])
        if STEP in said:
            hints["priority"] = int(said[STEP])
        return hints


def _answer(asked: EmulatedRequest, begun: float, ended: float) -> Answer:
    meta, tokens = asked.meta or {}, asked.tokens or []
    details = meta.get("cached_tokens_details") or {}
    found = {tier: details.get(tier) or 0 for tier in TIERS}
    aborted = meta.get("finish_reason", {}).get("type") == "abort"
    return Answer(
        text="" if aborted else " ".join(map(_word, tokens)),
        error="the engine gave the request up" if aborted else "",
        start_s=begun,
        ttft_s=asked.first_s + CALL_S - begun,
        latency_s=ended - begun,
        cached=CachedTokens(meta.get("prompt_tokens", 0), **found),
        output_tokens=len(tokens),
        replica="emulated",
    )


def _token(word: str) -> int:
    """Return the token of a word `w0`, `w1` ... of the random model; of any other the unknown."""
    number = word.removeprefix("w")
    return _FIRST_WORD + int(number) if number != word and number.isdecimal() else _UNKNOWN


def _word(token: int) -> str:
    return f"w{token - _FIRST_WORD}" if token >= _FIRST_WORD else "<unk>"
