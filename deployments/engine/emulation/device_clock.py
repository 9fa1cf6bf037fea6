"""What time it is for the device."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class DeviceClock(Protocol):
    """Monotonic seconds."""

    def now(self) -> float:
        """Return the time."""
        ...

    def wait_until(self, when: float) -> None:
        """Return when that time has come."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Return `time.monotonic`."""
        return time.monotonic()

    def wait_until(self, when: float) -> None:
        """Sleep until that time."""
        left = when - time.monotonic()
        if left > 0:
            time.sleep(left)


class VirtualClock:
    """Stands still until its owner moves it: what happens at which time is the same in every run.

    The thread that made it never sleeps, waiting moves the clock; other threads wait for it.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._moved = threading.Condition()
        self._owner = threading.get_ident()

    def now(self) -> float:
        """Return the time so far."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._moved:
            self._now += seconds
            self._moved.notify_all()

    def wait_until(self, when: float) -> None:
        """Move the clock forward; on another thread, wait until its owner did."""
        if threading.get_ident() == self._owner:
            self.advance(max(0.0, when - self._now))
            return
        with self._moved:
            self._moved.wait_for(lambda: self._now >= when)
