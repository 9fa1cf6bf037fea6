"""What travels between the driver and its workers: turns to take, and turns that were taken."""

from __future__ import annotations

from typing import NamedTuple

from scalesim.simulations.call_table import CallRow

HIDDEN = b"\xc0"
"""What an agent shows that hides: None in msgpack."""

NEVER = 2**31
"""A step that no run comes to."""


def step_of(next_turn: float) -> int:
    """Return the step of a turn; `NEVER` for inf and for all that is later."""
    return int(min(next_turn, NEVER))


class SeenAgent(NamedTuple):
    """Another agent, as one sees it: its row, what it shows (msgpack), and how far it is."""

    row: int
    public: bytes
    distance: float


class AgentMessage(NamedTuple):
    """A message between agents: the step, who sent it, its number, and what it says (msgpack)."""

    step: int
    sender: int
    number: int
    content: bytes


class AgentTurn(NamedTuple):
    """One turn to take, with all that it may know: any worker can take it, again if need be.

    Attributes:
        row: Row of the agent.
        step: Step of the turn.
        state: What it remembers, in msgpack.
        sees: The others that it sees, in order of rows; may hold itself.
        inbox: Messages sent to it since its last turn.
    """

    row: int
    step: int
    state: bytes
    sees: tuple[SeenAgent, ...]
    inbox: tuple[AgentMessage, ...]


class TakenTurn(NamedTuple):
    """One turn that was taken.

    Attributes:
        row: Row of the agent.
        step: Step of the turn.
        state: What it remembers now; as before where the turn failed.
        public: What it shows now.
        place: Where it is now; None where it is nowhere.
        next_turn: When it acts next: the step, and a fraction for its place in it; inf for never.
        sent: Messages to others: the row of who gets it, and msgpack.
        calls: Its calls of the model.
        error: Why it failed, naming agent and step; empty where it did not.
    """

    row: int
    step: int
    state: bytes
    public: bytes
    place: tuple[float, float] | None
    next_turn: float
    sent: tuple[tuple[int, bytes], ...]
    calls: tuple[CallRow, ...]
    error: str
