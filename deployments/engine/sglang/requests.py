"""Requests inside the scheduler: which there are, and whose."""

from __future__ import annotations

from typing import Any, NamedTuple

from deployments.engine.identity import HINT_TYPE


def requests(scheduler: Any) -> list[Any]:
    """Return the requests that wait or run and are not finished."""
    if scheduler is None:
        return []
    waiting = [request for request in scheduler.waiting_queue if not request.finished()]
    return waiting + running(scheduler)


def running(scheduler: Any) -> list[Any]:
    """Return the requests of passes under way and of the next one that are not finished."""
    found = list(scheduler.running_batch.reqs)
    if scheduler.last_batch is not None:
        found += scheduler.last_batch.reqs
    if scheduler.chunked_req is not None:
        found.append(scheduler.chunked_req)
    return [request for request in found if not request.finished()]


def is_running(scheduler: Any, running_batch: Any) -> bool:
    """Return whether some request's next pass, or its last one's result, is still to come.

    Args:
        scheduler: SGLang's.
        running_batch: What it has made of its running batch in this pass.
    """
    last = scheduler.last_batch
    return (
        not running_batch.is_empty()
        or scheduler.chunked_req is not None
        or (last is not None and not all(request.finished() for request in last.reqs))
        or bool(scheduler.enable_overlap and scheduler.result_queue)
        or not scheduler._pp_microbatches_drained()
    )


class Agent(NamedTuple):
    """Whose a request is.

    Attributes:
        key: Payload key.
        next_use: Told steps to the agent's next use, if told.
        model: Identity of the model it is for; empty for the engine's own.
    """

    key: int
    next_use: float | None
    model: str


def agent_of(req: Any) -> Agent | None:
    """Return whose a request is, or None where it has no identity."""
    for action in req.kv_hints.actions if req.kv_hints is not None else ():
        if action.action_type == HINT_TYPE:
            key, next_use, model = (action.payload.get(n) for n in ("key", "next_use", "model"))
            if isinstance(key, int):
                told = float(next_use) if isinstance(next_use, int | float) else None
                return Agent(key, told, model if isinstance(model, str) else "")
    return None


class AgentsInUse:
    """Keys of the agents that have requests, kept up by those that came and went."""

    def __init__(self) -> None:
        self.keys: dict[int, int] = {}
        self._seen: dict[int, Any] = {}

    def look(self, found: list[Any]) -> None:
        """Take over the requests there are now; costs the more, the more came and went."""
        now = dict(zip(map(id, found), found, strict=True))
        for request in now.keys() - self._seen.keys():
            self._count(now[request], 1)
        for request in self._seen.keys() - now.keys():
            self._count(self._seen[request], -1)
        self._seen = now  # and nobody else gets their ids while they are here

    def _count(self, request: Any, change: int) -> None:
        agent = agent_of(request)
        if agent is not None:
            requests = self.keys.get(agent.key, 0) + change
            if requests:
                self.keys[agent.key] = requests
            else:
                del self.keys[agent.key]
