"""The smallest part of a list that still fails, by taking pieces out (delta debugging)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Shrunk = TypeVar("Shrunk")

TRIES = 120
"""Most attempts."""


def shrunk(items: Sequence[Shrunk], fails: Callable[[list[Shrunk]], bool]) -> list[Shrunk]:
    """Return a part of items that fails, in their order; all of them where no part does.

    Args:
        items: They fail.
        fails: Whether a part does.
    """
    left, piece, tries = list(items), max(1, len(items) // 2), 0
    while tries < TRIES:
        at, before = 0, len(left)
        while at < len(left) and tries < TRIES:
            part = left[:at] + left[at + piece :]
            tries += 1
            if part and fails(part):
                left = part
            else:
                at += piece
        if piece == 1 and len(left) == before:
            break
        piece = max(1, piece // 2)
    return left
