"""The fencing number of a controller."""

from __future__ import annotations


def next_incarnation(now: float, saved: int = 0, seen: int = 0) -> int:
    """Return a number larger than that of every controller before.

    Wall-clock milliseconds alone do where neither the catalog nor a replica remembers anything;
    where the clock went backwards, what they remember decides.

    Args:
        now: Wall-clock seconds since 1970.
        saved: Largest number found in the catalog.
        seen: Largest number a replica has obeyed.
    """
    return max(int(now * 1000), saved + 1, seen + 1)
