"""What a started engine says it can take, and the tokens of its texts."""

from __future__ import annotations

import asyncio
from typing import Any

from scalesim.deployments.engine.admission import EngineLimits


def limits_of(engine: Any) -> EngineLimits:
    """Return the limits of SGLang's `engine`."""
    manager = engine.tokenizer_manager
    info = engine._scheduler_init_result.scheduler_infos[0]
    args = manager.server_args
    return EngineLimits.of(
        context=manager.context_len,
        pool=info["max_total_num_tokens"],
        page=args.page_size,
        vocabulary=manager.model_config.vocab_size,
        grammar=args.grammar_backend not in (None, "none"),
    )


_LONG = 16 * 2**10
"""Characters of text from which it is tokenized in a thread: 10 ms, and seconds for 8 MiB."""


async def tokenized(manager: Any, request: Any) -> list[list[int]]:
    """Return the token ids of each prompt of a request, which carries them from here on.

    Args:
        manager: SGLang's tokenizer manager.
        request: Its `GenerateReqInput`, as the OpenAI endpoints make it.
    """
    if request.input_ids is None:
        texts = [request.text] if isinstance(request.text, str) else request.text
        ids = await _ids(manager, texts)
        request.input_ids = ids[0] if isinstance(request.text, str) else ids
        request.text = None
    ids = request.input_ids
    return [ids] if not ids or isinstance(ids[0], int) else ids


async def _ids(manager: Any, texts: list[str]) -> list[list[int]]:
    if sum(map(len, texts)) < _LONG or manager.async_dynamic_batch_tokenizer is not None:
        ids, _ = await manager._tokenize_texts(texts)
    else:
        # It awaits nothing of this loop, and computes without Python's lock.
        ids, _ = await asyncio.to_thread(lambda: asyncio.run(manager._tokenize_texts(texts)))
    return list(ids)
