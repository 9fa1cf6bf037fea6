"""What each stream of the device did, when."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A piece of work on a stream, from when to when."""

    name: str
    stream: int
    begin_s: float
    end_s: float


class StepTimeline:
    """Keeps all pieces; called by the device."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []

    def __call__(self, name: str, stream: int, begin_s: float, end_s: float) -> None:
        """Keep one."""
        self._pieces.append(Piece(name, stream, begin_s, end_s))

    def of(self, begin_s: float, end_s: float) -> list[Piece]:
        """Return what lies within a span, its times counted from there."""
        return [
            Piece(name, stream, round(begin - begin_s, 6), round(end - begin_s, 6))
            for name, stream, begin, end in self._pieces
            if end > begin_s and begin < end_s
        ]
