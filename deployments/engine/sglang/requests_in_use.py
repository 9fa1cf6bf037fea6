"""Requests inside the scheduler: which there are, and whose."""

from __future__ import annotations

from collections.abc import Callable, Hashable, KeysView
from typing import Any, Generic, NamedTuple, TypeVar

from scalesim.deployments.engine.identity_envelope import HINT_TYPE

Need = TypeVar("Need", bound=Hashable)


def requests(scheduler: Any) -> dict[int, Any]:
    """Return the requests that wait or run and are not finished, by identity."""
    if scheduler is None:
        return {}
    found = [*scheduler.waiting_queue, *running(scheduler)]  # an abort takes it out of the queue
    return dict(zip(map(id, found), found, strict=True))


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


def key_of(request: Any) -> int | None:
    """Return the key of a request's agent, or None where it has no identity."""
    agent = agent_of(request)
    return agent.key if agent is not None else None


class Needed(Generic[Need]):
    """What the requests of a scheduler need, kept up by those that came and went.

    Args:
        need: Of a request; None where it needs nothing. Asked once of each.
    """

    def __init__(self, need: Callable[[Any], Need | None]) -> None:
        self._need = need
        self._seen: dict[int, Any] = {}  # kept alive, so that no other gets the identity of one
        self._needs: dict[int, Need] = {}
        self._counts: dict[Need, int] = {}

    @property
    def needs(self) -> KeysView[Need]:
        """Return what the requests last looked at need; a view of what it is later, too."""
        return self._counts.keys()

    def look(self, found: dict[int, Any]) -> bool:
        """Take over the requests there are now, by identity; return whether any came or went.

        Costs set operations over all of them and Python's time for those that came and went.
        """
        came, gone = found.keys() - self._seen.keys(), self._seen.keys() - found.keys()
        self._seen = found
        for request in came:
            need = self._need(found[request])
            if need is not None:
                self._needs[request] = need
                self._counts[need] = self._counts.get(need, 0) + 1
        for request in gone:
            self._forget(request)
        return bool(came or gone)

    def _forget(self, request: int) -> None:
        need = self._needs.pop(request, None)
        if need is not None:
            self._counts[need] -= 1
            if not self._counts[need]:
                del self._counts[need]
