"""What each stream of the device did, when."""

from __future__ import annotations

from typing import NamedTuple


class StreamSpan(NamedTuple):
    """One piece of work on a stream of the device, in seconds."""

    name: str
    stream: int
    begin_s: float
    end_s: float


class StepTimeline:
    """Keeps what every stream did; the device calls it after each piece of work."""

    def __init__(self) -> None:
        self._spans: list[StreamSpan] = []

    def __call__(self, name: str, stream: int, begin_s: float, end_s: float) -> None:
        """Keep one piece of work."""
        self._spans.append(StreamSpan(name, stream, begin_s, end_s))

    def of(self, begin_s: float, end_s: float) -> list[StreamSpan]:
        """Return what lies within a span, its times counted from there."""
        return [
            StreamSpan(name, stream, round(begin - begin_s, 6), round(end - begin_s, 6))
            for name, stream, begin, end in self._spans
            if end > begin_s and begin < end_s
        ]
