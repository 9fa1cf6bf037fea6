"""Whether two answers are the same, or differ where the model itself was undecided."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

TIE = 0.01
"""Logprobs nearer than this are a tie: batches and cached prefixes round the last bits otherwise,
in float32 with matrix units by up to a thousandth of a logit."""


class Verdict(Enum):
    """What a comparison found."""

    EQUAL = "equal"
    TIE = "tie"
    WRONG = "wrong"


class Reference(NamedTuple):
    """An answer given in peace.

    Attributes:
        tokens: The answer.
        second: Second best token at each place.
        gap: By how much logprob it was second.
    """

    tokens: list[int]
    second: list[int]
    gap: list[float]

    def judge(self, tokens: Sequence[int]) -> Verdict:
        """Judge another answer by the first token that differs."""
        if list(tokens) == self.tokens:
            return Verdict.EQUAL
        if len(tokens) != len(self.tokens):
            return Verdict.WRONG
        pairs = enumerate(zip(tokens, self.tokens, strict=True))
        first = next(at for at, (mine, expected) in pairs if mine != expected)
        tied = self.gap[first] < TIE and tokens[first] == self.second[first]
        return Verdict.TIE if tied else Verdict.WRONG


REFERENCE_ARGS = {"return_logprob": True, "top_logprobs_num": 2}
"""What a request needs so that its answer can be a reference."""


def reference(tokens: list[int], meta: dict[str, Any]) -> Reference:
    """Return the reference that an answer is; see `REFERENCE_ARGS`."""
    best = [[(entry[0], entry[1]) for entry in place] for place in meta["output_top_logprobs"]]
    second = [
        two[1] if two[0][1] == token else two[0] for two, token in zip(best, tokens, strict=True)
    ]
    gap = [abs(two[0][0] - two[1][0]) for two in best]
    return Reference(tokens, [token for _, token in second], gap)
