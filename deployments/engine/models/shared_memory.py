"""Memory that all tensor-parallel ranks of a machine map: a model is read and held once."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol


class Ranks(Protocol):
    """The ranks of one engine; every call is made on all of them, in the same order.

    Attributes:
        first: Whether this is the first of them.
        count: How many there are.
    """

    first: bool
    count: int

    def agreed(self, yes: bool) -> bool:
        """Return whether all say yes."""

    def broadcast(self, values: tuple[int, int]) -> tuple[int, int]:
        """Return what the first one says."""


def copies(ranks: Ranks) -> int:
    """Return how many copies ranks hold of what they all need: one, where they can share it."""
    if ranks.count == 1 or (file := shared_file(ranks, 1)) is None:
        return ranks.count
    os.close(file)
    return 1


def shared_file(ranks: Ranks, size: int) -> int | None:
    """Return a descriptor of memory that has no name: it is gone with the last that maps it.

    Args:
        ranks: Who shares it.
        size: Bytes, by the first of them.

    Returns:
        None where one of them cannot reach it: each then has its own.
    """
    file = -1
    if ranks.first:
        with suppress(OSError):
            file = os.memfd_create("scalesim-model")
            os.ftruncate(file, size)
    process, number = ranks.broadcast((os.getpid(), file))
    if not ranks.first and number >= 0:
        with suppress(OSError):
            file = os.open(f"/proc/{process}/fd/{number}", os.O_RDWR)
    if ranks.agreed(file >= 0):
        return file
    if file >= 0:
        os.close(file)
    return None
