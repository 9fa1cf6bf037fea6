"""What an agent's next prompt will begin with, learned from the prompts it sent.

Two prompts of one purpose share a stable beginning (persona, memory) and differ after it, or the
later one extends the earlier (a chat). An agent with several purposes has several prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64] | NDArray[np.int32]
Space = tuple[str | None, str | None]
"""Name space of a cache key: (extra key such as the adapter's, tenant salt)."""

MAX_PREFIXES = 4
"""Purposes remembered per agent: plan, act, reflect, talk."""

_SAME_PURPOSE = 0.5
"""Share of a known prefix a prompt must repeat to be of the same purpose."""


_NO_TOKENS = np.empty(0, np.int32)
_NO_PAGES = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """One learned prefix.

    Attributes:
        tokens: Last full sequence seen, prompt and answer; empty once only `pages` are kept.
        prompt_length: How many tokens were the prompt.
        space: Name space of its cache key.
        length: How many tokens are expected again, a multiple of the page size.
        pages: A number for each whole page of the sequence, that differs from those of others.
    """

    tokens: Tokens
    prompt_length: int
    space: Space
    length: int
    pages: NDArray[np.uint64] = field(default_factory=lambda: _NO_PAGES)

    def kept(self, *, tokens: bool) -> Prefix:
        """Return what is kept of it: token ids, as small as they can be, or its pages alone."""
        small = self.tokens.astype(np.int32) if tokens else _NO_TOKENS
        return Prefix(small, self.prompt_length, self.space, self.length, self.pages)


def learn(known: list[Prefix], latest: Prefix, page: int) -> list[Prefix]:
    """Return the prefixes of an agent after a request finished, newest first.

    Args:
        known: Prefixes known before; not mutated.
        latest: Sequence of the finished request; its `length` is taken for a first guess.
        page: Tokens a page.
    """
    numbers = pages(latest.tokens, page)
    length, others = latest.length, known[: MAX_PREFIXES - 1]
    for prefix in known:
        shared = page * common_length(prefix.pages, numbers)
        if prefix.space != latest.space or shared < max(page, _SAME_PURPOSE * prefix.length):
            continue
        # A chat repeats the whole earlier prompt and its answer: all of it will come again.
        if shared < prefix.prompt_length // page * page:
            length = shared
        others = [other for other in known if other is not prefix]
        break
    return [Prefix(latest.tokens, latest.prompt_length, latest.space, length, numbers), *others]


def pages(tokens: Tokens, page: int) -> NDArray[np.uint64]:
    """Return a number for each whole page of a sequence.

    Two pages that differ have the same one in 2^64 by chance. Nothing worse than a wrong guess of
    what comes again would follow.
    """
    whole = tokens[: len(tokens) // page * page].astype(np.int64, copy=False)
    numbers: NDArray[np.uint64] = whole.view(np.uint64).reshape(-1, page).dot(_factors(page))
    return numbers


@cache
def _factors(page: int) -> NDArray[np.uint64]:
    return np.random.default_rng(page).integers(0, 1 << 63, page, np.uint64) * np.uint64(2) + (
        np.uint64(1)
    )


def common_length(a: NDArray[np.generic], b: NDArray[np.generic]) -> int:
    """Return how many leading elements two sequences share."""
    n = min(len(a), len(b))
    first = (a[:n] != b[:n]).tobytes().find(1)
    return n if first < 0 else first
