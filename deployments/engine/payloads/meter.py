"""How fast a link between two tiers is, as the scheduler sees it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Meter:
    """Bytes that were carried ahead of requests, and the seconds the link was busy with them.

    A copy counts from the pass that submits it to the pass that sees it arrived: later than it did,
    but no plan can use it earlier.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.carried_bytes = 0
        self.busy_s = 0.0
        self._clock = clock
        self._since = 0.0
        self._underway_bytes = 0

    def begin(self, size: int) -> None:
        """Note a copy on its way."""
        if not self._underway_bytes:
            self._since = self._clock()
        self._underway_bytes += size

    def note(self, size: int, seconds: float) -> None:
        """Count a copy that was done synchronously."""
        self.carried_bytes += size
        self.busy_s += seconds

    def settle(self, busy: bool) -> None:
        """Count copies that were under way, once none is left."""
        if self._underway_bytes and not busy:
            self.note(self._underway_bytes, self._clock() - self._since)
            self._underway_bytes = 0
