"""Reads of models from storage that take time on a virtual clock, without a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from scalesim.deployments.engine.emulation.device_clock import DeviceClock
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed, Times
from scalesim.vocabulary import MODEL


class LateReads(Executor):
    """Makes each read when somebody asks for it after its time.

    Args:
        times: Times of the device.
        clock: Clock of the device.
    """

    def __init__(self, times: Times, clock: DeviceClock) -> None:
        self._times = times
        self._clock = clock

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Return what will be read."""
        until = self._clock.now() + self._times.transfer_s(LinkSpeed.STORAGE, CopiedState(MODEL, 0))
        return _Late(lambda: work(*args, **more), self._clock, until)


class _Late(Future[Any]):
    def __init__(self, work: Callable[[], Any], clock: DeviceClock, until: float) -> None:
        super().__init__()
        self._work = work
        self._clock = clock
        self._until = until

    def done(self) -> bool:
        if not super().done() and self._clock.now() >= self._until:
            try:
                self.set_result(self._work())
            except Exception as error:
                self.set_exception(error)
        return super().done()
