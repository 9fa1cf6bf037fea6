"""Streams and events in the place of `torch.cpu`'s, which do nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from scalesim.deployments.engine.emulation.device import Device, Seen, Timeline


class OnDevice:
    """Base of what belongs to this process's one emulated device."""

    device: ClassVar[Device]
    """`install` sets it."""


class Stream(OnDevice, Timeline):
    """Stands in for `torch.cuda.Stream`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Timeline.__init__(self, self.device)

    @property
    def cuda_stream(self) -> int:
        """Handle: distinguishes streams."""
        return self.number

    def wait_event(self, event: Event) -> None:
        """Let what is put here from now on begin after what the event recorded."""
        self.follow(event.seen, event.done_at)

    def wait_stream(self, stream: Stream) -> None:
        """Let what is put here from now on begin after all that is on another stream now."""
        self.follow(stream.seen, stream.done_at)

    def record_event(self, event: Event | None = None) -> Event:
        """Return an event that is done when all that is here now is."""
        event = event if event is not None else Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        """Wait, on the processor, for all that is here now."""
        self.device.wait(self.seen, self.done_at)

    def query(self) -> bool:
        """Return whether all that is here now is done."""
        return self.device.is_done(self.seen, self.done_at)


class Event(OnDevice):
    """Stands in for `torch.cuda.Event`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seen: Seen = {}
        self.done_at = 0.0
        self.latest_s = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Stand for all that is on a stream now, the current one by default."""
        stream = stream if stream is not None else current_stream()
        self.seen, self.done_at = dict(stream.seen), max(stream.done_at, self.device.clock.now())
        self.latest_s = stream.latest_s

    def query(self) -> bool:
        """Return whether it is done; an event that was never recorded is."""
        return self.device.is_done(self.seen, self.done_at)

    def synchronize(self) -> None:
        """Wait for it on the processor."""
        self.device.wait(self.seen, self.done_at)

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream, the current one by default, wait for it."""
        (stream if stream is not None else current_stream()).wait_event(self)

    def elapsed_time(self, end: Event) -> float:
        """Return the milliseconds between two events that are done."""
        return 1000.0 * (end.done_at - self.done_at)


class StreamContext(OnDevice):
    """Stands in for `torch.cuda.StreamContext`."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream
        self._before: list[Stream] = []

    def __enter__(self) -> None:
        self._before.append(current_stream())
        if self._stream is not None:
            self.device.current = self._stream

    def __exit__(self, *raised: object) -> None:
        self.device.current = self._before.pop()


def current_stream(of: Any = None) -> Stream:
    """Return the stream that work is put on now."""
    device = OnDevice.device
    if not isinstance(device.current, Stream):
        device.current = Stream()
    return device.current


def synchronize(of: Any = None) -> None:
    """Wait for everything on every stream."""
    OnDevice.device.wait_all()


FACE = {
    "Stream": Stream,
    "Event": Event,
    "StreamContext": StreamContext,
    "stream": StreamContext,
    "current_stream": current_stream,
    "synchronize": synchronize,
}
"""Names of `torch.cpu` and what they become."""
