"""The controller's time, and the numbers that fence it off from controllers before."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady(wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """Return a clock that shows the wall clock's seconds now and does not follow its jumps.

    Leases and steps are counted by it: a wall clock that is set forward by a day must not
    end every lease at once, one that is set back must not stop what is done once in a while.
    """
    offset = wall() - monotonic()
    return lambda: offset + monotonic()


def next_incarnation(now: float, saved: int = 0, seen: int = 0) -> int:
    """Return a number larger than that of every controller before.

    Wall-clock milliseconds alone do where neither the catalog nor a replica remembers anything;
    where the clock went backwards, what they remember decides.

    Args:
        now: Wall-clock seconds since 1970.
        saved: Largest number found in the catalog.
        seen: Largest number a replica has obeyed.
    """
    return max(int(now * 1000), saved + 1, seen + 1)
