"""One direction of a link that all streams share: a copy begins in the first gap for it."""

from __future__ import annotations

from bisect import bisect_left


class SharedLink:
    """When a link is busy; copies do not take turns within one another."""

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []

    def place(self, earliest_s: float, seconds: float, now_s: float) -> float:
        """Take the link for so long and return when that begins.

        Args:
            earliest_s: It does not begin before.
            seconds: It takes.
            now_s: What ended before is forgotten.
        """
        over = bisect_left(self._ends, now_s)
        del self._begins[:over], self._ends[:over]
        begin_s = earliest_s
        place = bisect_left(self._ends, begin_s)
        while place < len(self._begins) and self._begins[place] < begin_s + seconds:
            begin_s = max(begin_s, self._ends[place])
            place += 1
        self._begins.insert(place, begin_s)
        self._ends.insert(place, begin_s + seconds)
        return begin_s
