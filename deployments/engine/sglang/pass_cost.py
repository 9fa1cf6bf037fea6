"""What a prefill pass costs beside what it computes: one rank measures it, all decide by it.

Reading all weights where a graph launches the kernels, launching them one by one where none does:
9 and 40 ms of the same model, so that no constant serves both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

ASSUMED_TOKENS = 5120
"""Tokens that are copied while a pass is made, at the least and until it is measured: 13 ms of an
H100's PCIe with Llama-3.1-8B."""

SENT_AGAIN = 1.2
"""What is measured is sent where it is so many times the last: no link is ever quite still."""


@dataclass(frozen=True, slots=True)
class PassCost:
    """What rank 0 measured, sent to all ranks among the engine's own requests.

    Attributes:
        tokens: Tokens that the link copies while the shortest prefill pass is made.
    """

    tokens: int


class MeasuredCache(Protocol):
    """What of a cache is needed."""

    pass_tokens: int

    def measured_pass_tokens(self) -> int:
        """Return `PassCost.tokens` as measured on this rank; 0 until it is."""
        ...


class PassCosts:
    """Lets all ranks of a cache decide by what rank 0 measured, from the same pass on.

    Args:
        cache: This rank's; its `pass_tokens` is set.
    """

    def __init__(self, cache: MeasuredCache) -> None:
        self._cache = cache
        self._sent = ASSUMED_TOKENS

    def measured(self) -> list[PassCost]:
        """Return, on rank 0, what all ranks are sent now."""
        tokens = max(self._cache.measured_pass_tokens(), ASSUMED_TOKENS)
        if self._sent / SENT_AGAIN < tokens < self._sent * SENT_AGAIN:
            return []
        self._sent = tokens
        return [PassCost(tokens)]

    def taken(self, received: Iterable[Any]) -> list[Any]:
        """Take what rank 0 sent out of what was received; return the rest."""
        others = []
        for item in received:
            if isinstance(item, PassCost):
                self._cache.pass_tokens = item.tokens
            else:
                others.append(item)
        return others
