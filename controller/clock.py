"""The controller's time."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady(wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """Return a clock that shows the adapter layer's seconds now and does not follow its jumps.

    Leases, steps and turns are counted by it: a wall clock that is set forward by a day must not
    end every lease at once, one that is set back must not stop what is done once in a while.
    """
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
