"""Requests to an engine in this process, as token ids: no HTTP and no tokenizer between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from scalesim.deployments.engine.identity_envelope import hints
from scalesim.headers import CachedTokens
from scalesim.identity import agent_key
from scalesim.me import Chat, TextListener
from scalesim.simulations.chat_caller import Answer, ChatAnswer
from scalesim.simulations.target import adapter_name
from scalesim.vocabulary import TIERS

_FIRST_WORD = 3
"""Word `w0` is this token in the models of `scalesim.deployments.random_model`."""


class Reply(NamedTuple):
    """What a request returned, where its prompt was found, and all that SGLang says of it."""

    tokens: list[int]
    found: CachedTokens
    meta: dict[str, Any]

    @property
    def taken_back(self) -> bool:
        """Whether the request was aborted: what there is of the answer is cut short."""
        reason = self.meta.get("finish_reason") or {}
        return bool(reason.get("type") == "abort")


def request(ids: list[int], output_tokens: int, key: int | None, **more: Any) -> Any:
    """Return a greedy request of agent `key` that generates so many tokens, past the end token."""
    from sglang.srt.managers.io_struct import GenerateReqInput

    return GenerateReqInput(
        input_ids=ids,
        sampling_params={
            "max_new_tokens": output_tokens,
            "temperature": 0.0,
            "ignore_eos": True,
            "skip_special_tokens": False,
        },
        **{"kv_hints": None if key is None else hints(key), **more},
    )


def cached(meta: dict[str, Any]) -> CachedTokens:
    """Return where a finished request's prompt was found."""
    found = meta.get("cached_tokens_details") or {}
    tiers = (found.get(tier, 0) for tier in TIERS)
    return CachedTokens(meta.get("prompt_tokens", 0), *tiers)


async def ask(
    manager: Any, ids: list[int], output_tokens: int, key: int | None = None, **more: Any
) -> Reply:
    """Return an engine's greedy answer to a prompt."""
    asked = request(ids, output_tokens, key, **more)
    answer = await anext(manager.generate_request(asked, None))
    return Reply(answer["output_ids"], cached(answer["meta_info"]), answer["meta_info"])


async def flush(manager: Any) -> None:
    """Empty an engine's cache on device and host, once nothing runs."""
    while not (await manager.flush_cache()).success:
        await asyncio.sleep(0.01)


class EngineModel:
    """Answers agents; see `scalesim.simulations.driver.asked_model.AskedModel`.

    Args:
        manager: SGLang's tokenizer manager.
        simulation: Namespace of the agents.
        adapters: How many LoRA adapters the agents are dealt in turn; 0 for the bare model.
    """

    def __init__(self, manager: Any, simulation: str, adapters: int) -> None:
        self._manager, self._simulation, self._adapters = manager, simulation, adapters

    async def chat(
        self,
        row: int,
        agent: str,
        messages: Chat,
        parameters: Mapping[str, Any],
        on_text: TextListener | None,
    ) -> ChatAnswer:
        """See `AskedModel.chat`; a failed request raises, as nothing after it would count."""
        key = agent_key(self._simulation, agent)
        ids = [token for message in messages for token in _tokens(message["content"])]
        adapter = adapter_name(row % self._adapters) if self._adapters else None
        asked = request(ids, parameters["max_tokens"], key, stream=True, lora_path=adapter)
        start, first = time.monotonic(), float("nan")
        last: dict[str, Any] = {}
        async for last in self._pieces(asked):
            if first != first and last["output_ids"]:
                first = time.monotonic()
        end = time.monotonic()
        tokens, found = last["output_ids"], cached(last["meta_info"])
        text, times = " ".join(map(str, tokens)), (start, first - start, end - start)
        return ChatAnswer(Answer(text, "", *times, found, len(tokens), "engine"), {}, {})

    async def close(self) -> None:
        """See `AskedModel.close`; the engine lives on."""

    def _pieces(self, asked: Any) -> AsyncIterator[dict[str, Any]]:
        pieces: AsyncIterator[dict[str, Any]] = self._manager.generate_request(asked, None)
        return pieces


@cache
def _tokens(words: str) -> tuple[int, ...]:
    return tuple(_FIRST_WORD + int(word[1:]) for word in words.split())
