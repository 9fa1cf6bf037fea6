"""What becomes of a directive, and what of an engine a request needs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class MoveOutcome(Enum):
    """What became of one directive."""

    DONE = "done"
    """In effect, or already so."""
    STARTED = "started"
    """Bytes are on their way; `Payload.settle` completes it."""
    BUSY = "busy"
    """Links are full: try again on a later pass."""
    REFUSED = "refused"
    """In use, no room, or unknown: the planner will see it in the residency and think again."""


class RequestNeed(NamedTuple):
    """A queued or running request, whose it is and what it needs.

    Attributes:
        request: Its id.
        key: Of its agent; None where it has no identity, and still what it needs is in use.
        item: What it needs.
    """

    request: str
    key: int | None
    item: str


class NeedChange(NamedTuple):
    """What requests came and went since the last look, each in its order.

    A request that came and went in between is in both.
    """

    came: Sequence[RequestNeed]
    gone: Sequence[RequestNeed]
