"""Copies on a stream of their own, timed by the device's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TimedCopy:
    """One copy, timed by an event at its begin and one at its end.

    Args:
        device: Torch's module of the device, e.g. `torch.cuda`.
    """

    def __init__(self, device: Any) -> None:
        self._timed = hasattr(device.Event, "elapsed_time")  # a CPU copies at once: no such clock
        timing = {"enable_timing": True} if self._timed else {}
        self._begin, self.end = device.Event(**timing), device.Event(**timing)
        self._host_s = 0.0

    @contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        """Count what is put on a stream meanwhile, and not what the stream waits for before."""
        began = time.monotonic()
        self._begin.record(stream)
        yield
        self.end.record(stream)
        self._host_s = time.monotonic() - began

    @property
    def arrived(self) -> bool:
        """Whether it has ended."""
        return bool(self.end.query())

    @property
    def seconds(self) -> float:
        """How long the link was busy with it, once it has arrived."""
        return self._begin.elapsed_time(self.end) / 1000 if self._timed else self._host_s
