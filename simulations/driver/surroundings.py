"""Whom an agent has around it in one turn, from what travelled with the turn."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from scalesim.errors import OutOfReachError, WorldError
from scalesim.me import Other
from scalesim.simulations.driver.agent_turns import HIDDEN, AgentTurn
from scalesim.simulations.driver.roster import Roster


class Surroundings:
    """See `scalesim.me.Around`; what is seen is decoded when it is first looked at.

    Args:
        roster: Roster of the World.
        turn: The agent's.
    """

    def __init__(self, roster: Roster, turn: AgentTurn) -> None:
        self._roster, self._turn = roster, turn

    def seen(self) -> Mapping[str, Other]:
        """See `Around.seen`."""
        names, row = self._roster.names, self._turn.row
        return {
            names[one.row]: Other(names[one.row], msgspec.msgpack.decode(one.public), one.distance)
            for one in self._turn.sees
            if one.row != row and one.public != HIDDEN
        }

    def check(self, other: str) -> None:
        """See `Around.check`."""
        if other not in self._roster.rows:
            raise WorldError(
                f"{self._who()} named {other!r}, but there is no such agent: use the names that "
                "World.agents() returns"
            )

    def check_reach(self, other: str) -> None:
        """See `Around.check_reach`."""
        row = self._roster.rows[other]
        if self._roster.open or row in self._roster.readers.get(self._turn.row, ()):
            return
        # Who is seen along an edge from afar may be ahead, and would not hear of it in time.
        near = (one.row == row and one.distance <= self._roster.reach for one in self._turn.sees)
        if not any(near):
            raise OutOfReachError(
                f"{self._who()} told {other!r} something, who is out of its reach: tell those "
                "within the World's reach, or along an edge"
            )

    def _who(self) -> str:
        return f"{self._roster.names[self._turn.row]} in step {self._turn.step}"
