"""How often streams send what has gathered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

PIECES_PER_S = 1000
"""Pieces a second of all streams of a replica together: a piece costs it and the ingress 0.3 ms of
a processor, however many tokens are in it. Fewer than five streams send every token by itself."""

MOST_S = 0.1
"""Longest time between two pieces of a stream: readers see no gaps."""

LEAST_S = 0.005
"""Less than this is not counted as a wait: a token takes as long."""

_LOOK_S = 0.01
"""How soon the end of an answer is noticed, which is sent at once."""


class StreamPace:
    """Makes the streams of a replica wait between two pieces, longer the more there are.

    As a context it counts one stream. What the engine generates meanwhile is in the next piece; a
    first one and a last one do not wait.
    """

    def __init__(self) -> None:
        self._streams = 0

    @property
    def between_s(self) -> float:
        """Return how long a stream waits between two pieces now."""
        wait_s = min(MOST_S, self._streams / PIECES_PER_S)
        return wait_s if wait_s >= LEAST_S else 0.0

    async def wait(self, ended: Callable[[], bool]) -> None:
        """Return when the next piece is due, or its answer has ended."""
        left_s = self.between_s
        while left_s > 0.0 and not ended():
            await asyncio.sleep(min(left_s, _LOOK_S))
            left_s -= _LOOK_S

    def __enter__(self) -> None:
        self._streams += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._streams -= 1
