"""Requests inside the scheduler: which there are, and whose."""

from __future__ import annotations

from typing import Any

from deployments.engine.identity import HINT_TYPE


def requests(scheduler: Any) -> list[Any]:
    """Return the requests that wait or run and are not finished."""
    if scheduler is None:
        return []
    found = [*scheduler.waiting_queue, *scheduler.running_batch.reqs]
    if scheduler.last_batch is not None:
        found += scheduler.last_batch.reqs
    if scheduler.chunked_req is not None:
        found.append(scheduler.chunked_req)
    return [request for request in found if not request.finished()]


def agent_of(req: Any) -> tuple[int, float | None] | None:
    """Return (payload key, told next use in steps) of a request, or None without identity."""
    for action in req.kv_hints.actions if req.kv_hints is not None else ():
        if action.action_type == HINT_TYPE:
            key, next_use = action.payload.get("key"), action.payload.get("next_use")
            if isinstance(key, int):
                return key, float(next_use) if isinstance(next_use, int | float) else None
    return None
