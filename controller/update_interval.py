"""How often replicas should report: as often as the controller can take it."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST_S = 0.01
"""An engine makes passes as often as this: to report more often says nothing new."""

LONGEST_S = 1.0
"""The planner looks seconds ahead; what an engine says meanwhile waits in the replica."""

BUSY_SHARE = 0.5
"""Share of one processor; the rest is for distances, and for directives that must not wait."""

_WINDOW_S = 0.25
_CHANGE = 2.0  # at most by so much from one window to the next


class UpdateInterval:
    """Lengthens the time between a replica's updates while the controller's process is busy.

    What the process spends falls about as the time between updates grows, so the ratio of what it
    spends to what it may spend is by how much that time must change.

    Args:
        busy_s: Returns the processor seconds that the controller's process has used.
        clock: Returns seconds.

    Attributes:
        interval_s: Seconds that a replica should leave between two updates.
    """

    def __init__(
        self,
        busy_s: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy_s, self._clock = busy_s, clock
        self._since, self._used = clock(), busy_s()
        self.interval_s = SHORTEST_S

    def look(self) -> float:
        """Return the interval, by what was spent lately; cheap enough for every update."""
        passed = self._clock() - self._since
        if passed >= _WINDOW_S:
            used = self._busy_s()
            change = (used - self._used) / passed / BUSY_SHARE
            change = min(max(change, 1 / _CHANGE), _CHANGE)
            self.interval_s = min(max(self.interval_s * change, SHORTEST_S), LONGEST_S)
            self._since, self._used = self._since + passed, used
        return self.interval_s
