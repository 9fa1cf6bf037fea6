"""Threads of the storage tier on a virtual clock: they go on between passes, in one order.

Their own loops run, and leave off where they would wait: every run does the same, and a fork of
the process has all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, Queue
from types import ModuleType, SimpleNamespace
from typing import Any, cast

from scalesim.deployments.engine.emulation.device_clock import DeviceClock

Begin = Callable[[Any], float]
"""Begins a piece of work that is handed over, and returns the seconds that it takes."""


class _WaitsError(BaseException):
    """A thread has nothing to do now; none of its own handlers may catch this."""


class LateThreads:
    """All threads of the storage tier, which run one after the other.

    Args:
        clock: Clock of the device.
    """

    def __init__(self, clock: DeviceClock) -> None:
        self._clock = clock
        self._running: list[_Thread] = []
        self._hurry = False

    def take(self, module: ModuleType) -> None:
        """Make the threads that a module starts by `threading.Thread` some of these."""
        face = SimpleNamespace(**vars(threading) | {"Thread": self._thread})
        module.threading = cast(Any, face)  # type: ignore[attr-defined]

    def queue(self, begin: Begin) -> LateQueue:
        """Return a queue that one of the threads waits at."""
        return LateQueue(self._clock.now, begin, lambda: self._hurry)

    def go_on(self) -> None:
        """Let every thread do what is due."""
        for thread in list(self._running):
            thread.go_on()

    def _thread(self, *, target: Callable[[], None], **_: Any) -> _Thread:
        return _Thread(self, target)

    def started(self, thread: _Thread) -> None:
        """Take in a thread."""
        self._running.append(thread)

    def ended(self, thread: _Thread) -> None:
        """Forget a thread."""
        self._running.remove(thread)

    def runs(self, thread: _Thread) -> bool:
        """Return whether a thread has begun and not ended."""
        return thread in self._running

    def hurry(self, thread: _Thread) -> None:
        """Let a thread end: work that it still has takes no time."""
        self._hurry = True
        thread.go_on()
        self._hurry = False


class _Thread:
    """Stands in for `threading.Thread`; begins with the next pass."""

    def __init__(self, threads: LateThreads, target: Callable[[], None]) -> None:
        self._threads = threads
        self._target = target

    def start(self) -> None:
        self._threads.started(self)

    def is_alive(self) -> bool:
        return self._threads.runs(self)

    def join(self, timeout: float | None = None) -> None:
        if self.is_alive():
            self._threads.hurry(self)

    def go_on(self) -> None:
        try:
            self._target()
        except _WaitsError:
            return
        self._threads.ended(self)


class LateQueue(Queue[Any]):
    """Hands out what was put in once it has taken its time, one after the other.

    Args:
        now: What time it is.
        begin: Called with what is put in.
        hurried: Whether nothing takes any time.
    """

    def __init__(self, now: Callable[[], float], begin: Begin, hurried: Callable[[], bool]) -> None:
        super().__init__()
        self._now = now
        self._begin = begin
        self._hurried = hurried
        self._done_at = 0.0

    def _put(self, item: Any) -> None:
        seconds = self._begin(item) if item is not None else 0.0
        self._done_at = max(self._done_at, self._now()) + seconds
        self.queue.append((self._done_at, item))

    def _get(self) -> Any:
        return self.queue.popleft()[1]

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the first item without waiting for one."""
        if not self.queue or (self.queue[0][0] > self._now() and not self._hurried()):
            raise _WaitsError if block else Empty
        return super().get(block=False)
