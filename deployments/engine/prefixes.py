"""What an agent's next prompt will begin with, learned from the prompts it sent.

Two prompts of one purpose share a stable beginning (persona, memory) and differ after it, or the
later one extends the earlier (a chat). An agent with several purposes has several prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64] | NDArray[np.int32]
CacheSpace = tuple[str | None, str | None]
"""Name space of a cache key: (extra key such as the adapter's, tenant salt)."""

MAX_PREFIXES = 4
"""Purposes remembered per agent: plan, act, reflect, talk."""

_SAME_PURPOSE = 0.5
"""Share of a known prefix a prompt must repeat to be of the same purpose."""


_NUMBER_BYTES = 8
_NO_TOKENS = np.empty(0, np.int32)


@dataclass(slots=True, eq=False)  # not frozen: that would take three times as long to make
class Prefix:
    """One learned prefix, which never changes.

    Attributes:
        tokens: Last full sequence seen, prompt and answer; empty once only `pages` are kept.
        prompt_length: How many tokens were the prompt.
        space: Name space of its cache key.
        length: How many tokens are expected again, a multiple of the page size.
        pages: A number for each whole page of the sequence, that differs from those of others.
    """

    tokens: Tokens
    prompt_length: int
    space: CacheSpace
    length: int
    pages: bytes = b""


def learn(
    known: Sequence[Prefix], latest: Prefix, page: int, *, tokens: bool = True
) -> list[Prefix]:
    """Return the prefixes of an agent after a request finished, newest first.

    Args:
        known: Prefixes known before; not mutated.
        latest: Sequence of the finished request; its `length` is taken for a first guess.
        page: Tokens a page.
        tokens: Whether its token ids are kept, as small as they can be, or its pages alone.
    """
    numbers = pages(latest.tokens, page)
    length, others = latest.length, list(known[: MAX_PREFIXES - 1])
    for prefix in known:
        shared = page * common_pages(prefix.pages, numbers)
        if prefix.space != latest.space or shared < max(page, _SAME_PURPOSE * prefix.length):
            continue
        # A chat repeats the whole earlier prompt and its answer: all of it will come again.
        if shared < prefix.prompt_length // page * page:
            length = shared
        others = [other for other in known if other is not prefix]
        break
    small = latest.tokens.astype(np.int32) if tokens else _NO_TOKENS
    return [Prefix(small, latest.prompt_length, latest.space, length, numbers), *others]


def begins_alike(one: Prefix, other: Prefix, tokens: int, page: int) -> bool:
    """Return whether two sequences share their first `tokens`, which are whole pages."""
    end = tokens // page * _NUMBER_BYTES
    return one.pages[:end] == other.pages[:end]


def pages(tokens: Tokens, page: int) -> bytes:
    """Return a number for each whole page of a sequence, 8 bytes each.

    Two pages that differ have the same one in 2^64 by chance. Nothing worse than a wrong guess of
    what comes again would follow.
    """
    whole = tokens[: len(tokens) // page * page].astype(np.int64, copy=False)
    numbers: NDArray[np.uint64] = whole.view(np.uint64).reshape(-1, page).dot(_factors(page))
    return numbers.tobytes()


@cache
def _factors(page: int) -> NDArray[np.uint64]:
    return np.random.default_rng(page).integers(0, 1 << 63, page, np.uint64) * np.uint64(2) + (
        np.uint64(1)
    )


def common_pages(a: bytes, b: bytes) -> int:
    """Return how many leading numbers two sequences of `pages` share."""
    end = min(len(a), len(b))
    differ = int.from_bytes(a[:end], "little") ^ int.from_bytes(b[:end], "little")
    if not differ:
        return end // _NUMBER_BYTES
    return ((differ & -differ).bit_length() - 1) // (8 * _NUMBER_BYTES)
