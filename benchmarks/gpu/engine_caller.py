"""Requests to an engine in this process, as token ids: no HTTP and no tokenizer between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from scalesim.deployments.engine.identity_envelope import hints
from scalesim.headers import AGENT, SIMULATION, CachedTokens
from scalesim.identity import agent_key
from scalesim.simulations.chat_caller import Answer
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


class EngineCaller:
    """Makes calls as `scalesim.simulations.chat_caller.Caller` does, timed to the first token.

    Args:
        manager: SGLang's tokenizer manager.
        output_tokens: To generate, exactly.
    """

    def __init__(self, manager: Any, output_tokens: int) -> None:
        self._manager = manager
        self._output_tokens = output_tokens

    async def call(self, model: str, system: str, user: str, headers: dict[str, str]) -> Answer:
        """See `PromptCaller.call`; a failed request raises, as nothing after it would count."""
        key = agent_key(headers[SIMULATION], unquote(headers[AGENT]))
        ids = [*_tokens(system), *_tokens(user)]
        adapter = model.partition(":")[2] or None
        asked = request(ids, self._output_tokens, key, stream=True, lora_path=adapter)
        start, first = time.monotonic(), float("nan")
        last: dict[str, Any] = {}
        async for last in self._pieces(asked):
            if first != first and last["output_ids"]:
                first = time.monotonic()
        end = time.monotonic()
        tokens = last["output_ids"]
        text = " ".join(map(str, tokens))
        found = cached(last["meta_info"])
        return Answer(text, "", start, first - start, end - start, found, len(tokens), "engine")

    async def close(self) -> None:
        """See `PromptCaller.close`; the engine lives on."""

    def _pieces(self, asked: Any) -> AsyncIterator[dict[str, Any]]:
        pieces: AsyncIterator[dict[str, Any]] = self._manager.generate_request(asked, None)
        return pieces


@cache
def _tokens(words: str) -> tuple[int, ...]:
    return tuple(_FIRST_WORD + int(word[1:]) for word in words.split())
