"""What becomes of a directive, and what of an engine a request needs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class MoveOutcome(Enum):
    """The result of one move that a directive asked for."""

    DONE = "done"
    """It was done."""
    ALREADY = "already"
    """It was so before: nothing was to be done."""
    STARTED = "started"
    """Bytes are on their way; `Payload.settle` completes it."""
    BUSY = "busy"
    """Links are full: try again on a later pass."""
    REFUSED = "refused"
    """In use, no room, or unknown: the planner will see it in the residency and think again."""


class RequestNeed(NamedTuple):
    """A queued or running request: its agent and the payload it needs.

    Attributes:
        request: The request's id.
        key: Its agent's key; None if it has no identity (what it needs is in use all the same).
        item: Id of what it needs, such as an adapter.
    """

    request: str
    key: int | None
    item: str


class NeedChange(NamedTuple):
    """Requests that came and went since the last look, in order.

    A request that came and went in between is in both.
    """

    came: Sequence[RequestNeed]
    gone: Sequence[RequestNeed]


class Arrivals(NamedTuple):
    """Agents whose requests wait for copies to the device.

    Attributes:
        coming: Their copies are under way.
        waiting: They wait for the link, or for room.
        tokens: Tokens of the copies under way.
    """

    coming: frozenset[int]
    waiting: frozenset[int]
    tokens: int = 0


NO_ARRIVALS = Arrivals(frozenset(), frozenset())
