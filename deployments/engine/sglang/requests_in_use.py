"""Requests inside the scheduler: which there are, and whose."""

from __future__ import annotations

from collections.abc import Callable, Hashable, KeysView
from typing import Any, Generic, NamedTuple, TypeVar

from scalesim.deployments.engine.identity_envelope import HINT_TYPE

Need = TypeVar("Need", bound=Hashable)

Follower = TypeVar("Follower", "CurrentNeeds[Any]", "NeedChanges[Any]")

LOOKED_AT_A_PASS = 16
"""Requests looked at in a pass, on average: all of them in one, then none in some others."""


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
    """Return whether a forward pass of some request, or its result, is still to come.

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
    """The agent that a request belongs to.

    Attributes:
        key: Payload key.
        next_use: Reported steps to the agent's next use, if any.
        model: Identity of the model it is for; empty for the engine's own.
    """

    key: int
    next_use: float | None
    model: str


def agent_of(req: Any) -> Agent | None:
    """Return a request's agent, or None if it has no identity."""
    for action in req.kv_hints.actions if req.kv_hints is not None else ():
        if action.action_type == HINT_TYPE:
            said = action.payload.get
            key, next_use, model = said("key"), said("next_use"), said("model")
            if isinstance(key, int):
                steps = float(next_use) if isinstance(next_use, (int, float)) else None
                return Agent(key, steps, model if isinstance(model, str) else "")
    return None


def key_of(request: Any) -> int | None:
    """Return the key of a request's agent, or None where it has no identity."""
    agent = agent_of(request)
    return agent.key if agent is not None else None


class LiveRequests:
    """The requests of a scheduler that wait or run and are not finished, as they come and go.

    A pass costs what came and went, not what there is: SGLang queues every request by one method,
    drops every aborted one by another, and its cache reports those that finish (`left`).

    Args:
        scheduler: SGLang's; two of its methods are wrapped.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._there: dict[int, Any] = {}  # kept alive, so that no other gets the identity of one
        self._followers: list[CurrentNeeds[Any] | NeedChanges[Any]] = []
        self._unlooked = 0
        self._add = scheduler._add_request_to_queue
        self._release = scheduler._release_aborted_request
        scheduler._add_request_to_queue = self._added
        scheduler._release_aborted_request = self._released

    def follow(self, need: Callable[[Any], Need | None]) -> CurrentNeeds[Need]:
        """Return what they need from now on; see `CurrentNeeds`."""
        return self._with_those_there(CurrentNeeds(need))

    def changes(self, need: Callable[[Any], Need | None]) -> NeedChanges[Need]:
        """Return what comes and goes of it; what is there now has come."""
        return self._with_those_there(NeedChanges(need))

    def _with_those_there(self, follower: Follower) -> Follower:
        self._followers.append(follower)
        for number, request in self._there.items():
            follower.came(number, request)
        return follower

    def left(self, request: Any) -> None:
        """Note that a request is finished, or is dropped."""
        self._left(id(request))

    def look(self) -> None:
        """Called once a pass: look at all requests once in a while, at few of them every time.

        SGLang may have ways in and out that we do not know. All ranks look in the same pass.
        """
        self._unlooked += LOOKED_AT_A_PASS
        if self._unlooked < len(self._there):
            return
        self._unlooked = 0
        found = requests(self._scheduler)
        for number in [each for each in self._there if each not in found]:  # in their order
            self._left(number)
        for number, request in found.items():
            self._came(number, request)

    def _added(self, request: Any, *args: Any, **more: Any) -> None:
        self._add(request, *args, **more)
        queue = self._scheduler.waiting_queue
        if queue and queue[-1] is request:  # it was not refused
            self._came(id(request), request)

    def _released(self, request: Any) -> None:
        self._release(request)
        self.left(request)

    def _came(self, number: int, request: Any) -> None:
        if number not in self._there:
            self._there[number] = request
            for follower in self._followers:
                follower.came(number, request)

    def _left(self, number: int) -> None:
        if self._there.pop(number, None) is not None:
            for follower in self._followers:
                follower.left(number)


class CurrentNeeds(Generic[Need]):
    """What the requests of a scheduler need.

    Args:
        need: Returns what a request needs; None for nothing. Asked once of each.

    Attributes:
        gone: Called with what no request needs any more.
    """

    def __init__(self, need: Callable[[Any], Need | None]) -> None:
        self.gone: Callable[[Need], None] = lambda need: None
        self._need = need
        self._needs: dict[int, Need] = {}
        self._counts: dict[Need, int] = {}

    @property
    def needs(self) -> KeysView[Need]:
        """Return what the requests there are now need; a view of what it is later, too."""
        return self._counts.keys()

    def came(self, number: int, request: Any) -> None:
        """Note a request, by its identity."""
        need = self._need(request)
        if need is not None:
            self._needs[number] = need
            self._counts[need] = self._counts.get(need, 0) + 1

    def left(self, number: int) -> None:
        """Undo `came`."""
        need = self._needs.pop(number, None)
        if need is not None:
            self._counts[need] -= 1
            if not self._counts[need]:
                del self._counts[need]
                self.gone(need)


class NeedChanges(Generic[Need]):
    """What came and what went of the needs of a scheduler's requests, one entry a request.

    Args:
        need: Returns what a request needs; None for nothing. Asked once of each.
    """

    def __init__(self, need: Callable[[Any], Need | None]) -> None:
        self._need = need
        self._needs: dict[int, Need] = {}
        self._came: list[Need] = []
        self._gone: list[Need] = []

    def take(self) -> tuple[list[Need], list[Need]]:
        """Return what came and what went since the last call, each in its order."""
        taken = self._came, self._gone
        self._came, self._gone = [], []
        return taken

    def came(self, number: int, request: Any) -> None:
        """Note a request, by its identity."""
        need = self._need(request)
        if need is not None:
            self._needs[number] = need
            self._came.append(need)

    def left(self, number: int) -> None:
        """Note that a request left."""
        need = self._needs.pop(number, None)
        if need is not None:
            self._gone.append(need)
