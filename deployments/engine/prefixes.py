"""What an agent's next prompt will begin with, learned from the prompts it sent.

Two prompts of one purpose share a stable beginning (persona, memory) and differ after it, or the
later one extends the earlier (a chat). An agent with several purposes has several prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
Space = tuple[str | None, str | None]
"""Name space of a cache key: (extra key such as the adapter's, tenant salt)."""

MAX_PREFIXES = 4
"""Purposes remembered per agent: plan, act, reflect, talk."""

_SAME_PURPOSE = 0.5
"""Share of a known prefix a prompt must repeat to be of the same purpose."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """One learned prefix.

    Attributes:
        tokens: Last full sequence seen, prompt and answer.
        prompt_length: How many of `tokens` were the prompt.
        space: Name space of its cache key.
        length: How many of `tokens` are expected again, a multiple of the page size.
    """

    tokens: Tokens
    prompt_length: int
    space: Space
    length: int


def learn(known: list[Prefix], latest: Prefix, page: int) -> list[Prefix]:
    """Return the prefixes of an agent after a request finished, newest first.

    Args:
        known: Prefixes known before; not mutated.
        latest: Sequence of the finished request; its `length` is taken for a first guess.
        page: Tokens a page.
    """
    for prefix in known:
        shared = common_length(prefix.tokens, latest.tokens)
        if prefix.space != latest.space or shared < max(page, _SAME_PURPOSE * prefix.length):
            continue
        # A chat repeats the whole earlier prompt and its answer: all of it will come again.
        if shared < prefix.prompt_length // page * page:
            latest = replace(latest, length=shared // page * page)
        return [latest, *(other for other in known if other is not prefix)]
    return [latest, *known[: MAX_PREFIXES - 1]]


def common_length(a: Tokens, b: Tokens) -> int:
    """Return how many leading elements two sequences share."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n
