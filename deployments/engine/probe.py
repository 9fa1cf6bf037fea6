"""Asks an engine whether it still answers."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

from sglang.srt.constants import HEALTH_CHECK_RID_PREFIX
from sglang.srt.managers.io_struct import GenerateReqInput

_POLL_S = 0.05


def unended(engine: Any) -> int:
    """Return how many clients' requests are still in the engine; the probe itself is not counted.

    May be called in any thread.
    """
    rids = list(engine.tokenizer_manager.rid_to_state)  # at once: others change it meanwhile
    return sum(not rid.startswith(HEALTH_CHECK_RID_PREFIX) for rid in rids)


async def probe(engine: Any, timeout_s: float) -> bool:
    """Return whether the scheduler and detokenizer answered within `timeout_s`.

    A busy engine skips the one-token request: any answer it gives to others counts.
    """
    manager = engine.tokenizer_manager
    request = GenerateReqInput(
        rid=f"{HEALTH_CHECK_RID_PREFIX}_{uuid.uuid4().hex}",
        input_ids=[0],
        sampling_params={"max_new_tokens": 1, "temperature": 0.0},
        log_metrics=False,
    )
    asked, heard = time.monotonic(), manager.last_receive_tstamp
    answer = asyncio.ensure_future(anext(manager.generate_request(request, None)))
    try:
        while time.monotonic() - asked < timeout_s:
            if answer.done() or manager.last_receive_tstamp != heard:
                return not answer.done() or answer.exception() is None
            await asyncio.sleep(_POLL_S)
        return False
    finally:
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        manager.rid_to_state.pop(request.rid, None)
