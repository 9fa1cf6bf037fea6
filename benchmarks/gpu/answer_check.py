"""Whether an answer is what it was undisturbed, down to the rounding of its logprobs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import inf, isnan
from typing import NamedTuple

from benchmarks.gpu.engine_caller import Reply


class Verdict(Enum):
    """What a comparison found."""

    EQUAL = "equal"
    TIE = "tie"
    WRONG = "wrong"


class Reference(NamedTuple):
    """An answer given undisturbed.

    Attributes:
        tokens: The answer.
        logprobs: Of its tokens.
        second: Second best token at each place.
        gap: By how much logprob it was second.
    """

    tokens: list[int]
    logprobs: list[float]
    second: list[int]
    gap: list[float]

    def drift(self, reply: Reply) -> float:
        """Return by how much logprob another answer is off at most, up to where it differs.

        There each has its own best token: how likely the best is drifts no more than all are.
        """
        mine, compared = _logprobs(reply), self._differs(reply.tokens) + 1
        pairs = zip(self.logprobs[:compared], mine[:compared], strict=False)
        return max((_apart(expected, found) for expected, found in pairs), default=0.0)

    def judge(self, reply: Reply, rounding: float) -> Verdict:
        """Judge another answer: wrong KV shows in its logprobs long before it shows in tokens.

        Args:
            reply: To the same prompt; see `ASKED`.
            rounding: Logprobs nearer than this are the same.
        """
        first = self._differs(reply.tokens)
        if len(reply.tokens) != len(self.tokens) or self.drift(reply) > rounding:
            return Verdict.WRONG
        if first == len(self.tokens):
            return Verdict.EQUAL
        tied = self.gap[first] <= 2 * rounding and reply.tokens[first] == self.second[first]
        return Verdict.TIE if tied else Verdict.WRONG

    def _differs(self, tokens: Sequence[int]) -> int:
        """Return the place of the first token that differs; the length where none does."""
        pairs = enumerate(zip(tokens, self.tokens, strict=False))
        return next((at for at, (mine, theirs) in pairs if mine != theirs), len(self.tokens))


ASKED = {"return_logprob": True, "top_logprobs_num": 2}
"""What a request needs so that its answer can be a reference or be judged."""


def reference(reply: Reply) -> Reference:
    """Return the reference that an answer is."""
    places = [[(entry[0], entry[1]) for entry in two] for two in reply.meta["output_top_logprobs"]]
    others = [
        two[1] if two[0][1] == token else two[0]
        for two, token in zip(places, reply.tokens, strict=True)
    ]
    gap = [abs(two[0][0] - two[1][0]) for two in places]
    return Reference(reply.tokens, _logprobs(reply), [token for _, token in others], gap)


def _apart(expected: float, found: float) -> float:
    return inf if isnan(found) else abs(expected - found)


def _logprobs(reply: Reply) -> list[float]:
    return [entry[0] for entry in reply.meta["output_token_logprobs"]]
