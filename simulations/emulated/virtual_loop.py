"""An event loop on a virtual clock: tasks run until none can go on, and nothing is waited for."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.inline import Script


class VirtualLoop(asyncio.SelectorEventLoop):
    """Tasks on a clock that its owner moves.

    `run_forever` returns once every task waits for another time, or for what comes from outside;
    `time`, and with it every sleep and timeout, is the clock's.

    Args:
        clock: Clock of the device.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        super().__init__(_NeverWaiting(self.stop))

    def time(self) -> float:
        """Return the clock's seconds."""
        return self._clock.now()

    def script(self, main: Coroutine[Any, Any, Any], go_on: Callable[[], None]) -> Script:
        """Run a coroutine between an engine's passes, up to its end.

        Args:
            main: Runs on this loop, with all tasks it begins.
            go_on: Called before each pass, after what could go on did.

        Raises:
            Exception: What the coroutine raises.
        """
        task = self.create_task(main)
        while not task.done():
            self.run_forever()
            go_on()
            yield
        task.result()


class _NeverWaiting(selectors.DefaultSelector):
    """Finds what is ready now; calls `idle` instead of waiting for more."""

    def __init__(self, idle: Callable[[], None]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`."""
        if timeout != 0:
            self._idle()
        return super().select(0)
