"""A device whose streams run in no order but the one that events and waits enforce.

Every piece of work carries the work that certainly came before it. A cell that is read and written
without an order between the two is a race, and is noticed whatever the timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any


class OrderedStream:
    def __init__(self) -> None:
        self.before: frozenset[int] = frozenset()

    def wait_stream(self, other: OrderedStream) -> None:
        self.before |= other.before

    def wait_event(self, event: OrderedEvent) -> None:
        self.before |= event.before


class OrderedEvent:
    """Ended once `arrive` was called for the device, as if no copy ever were in time."""

    def __init__(self, device: OrderedDevice) -> None:
        self._device = device
        self._made_at = 0
        self.before: frozenset[int] = frozenset()

    def record(self, stream: OrderedStream) -> None:
        self.before, self._made_at = stream.before, self._device.arrivals

    def query(self) -> bool:
        ended = self._device.arrivals > self._made_at
        if ended:  # seen to have ended: what the host begins from now on comes after it
            self.synchronize()
        return ended

    def synchronize(self) -> None:
        self._device.host.before |= self.before


class OrderedDevice:
    def __init__(self) -> None:
        self.host = OrderedStream()  # where the scheduler's thread is
        self.arrivals = 0
        self._current = self.host
        self._work = count()
        self._writes: dict[int, int] = {}
        self._reads: dict[int, set[int]] = {}

    def Stream(self) -> OrderedStream:
        return OrderedStream()

    @property
    def Event(self) -> Any:
        return lambda **options: OrderedEvent(self)

    @contextmanager
    def stream(self, stream: OrderedStream) -> Iterator[None]:
        self._current, before = stream, self._current
        yield
        self._current = before

    def current_stream(self) -> OrderedStream:
        return self._current

    def arrive(self) -> None:
        """All copies begun before this are seen to have ended."""
        self.arrivals += 1

    def read(self, cell: int) -> None:
        """Put a read on the current stream."""
        assert self._is_after({self._writes[cell]} if cell in self._writes else set()), (
            f"slot {cell} is read before what was copied to it is there"
        )
        self._reads.setdefault(cell, set()).add(self._put())

    def write(self, cell: int) -> None:
        """Put a write on the current stream."""
        earlier = self._reads.pop(cell, set()) | ({self._writes.pop(cell, -1)} - {-1})
        assert self._is_after(earlier), f"slot {cell} is written while it is read or written"
        self._writes[cell] = self._put()

    def _is_after(self, earlier: set[int]) -> bool:
        return earlier <= self._current.before

    def _put(self) -> int:
        work = next(self._work)
        self._current.before |= {work}
        return work
