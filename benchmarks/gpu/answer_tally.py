"""What became of the answers of one run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.gpu.answer_check import Verdict
from benchmarks.gpu.engine_caller import Reply
from benchmarks.gpu.reference_answers import ReferenceAnswers

_SHOWN = 10
"""Wrong answers shown in full."""


class AnswerTally:
    """Judges answers and counts them.

    Args:
        reference: What they must be.
    """

    def __init__(self, reference: ReferenceAnswers) -> None:
        self._reference = reference
        self._verdicts: Counter[Verdict] = Counter()
        self._drift = 0.0
        self._wrong: list[dict[str, Any]] = []
        self.taken_back = 0

    @property
    def outputs(self) -> int:
        """How many were judged."""
        return self._verdicts.total()

    def judge(self, turn: str, agent: int, view: int, reply: Reply, **more: Any) -> None:
        """Count an answer; `more` is shown where it is wrong."""
        expected = self._reference.answers[agent, view]
        verdict, drift = expected.judge(reply, self._reference.rounding), expected.drift(reply)
        self._drift = max(self._drift, drift)
        self._verdicts[verdict] += 1
        if verdict is Verdict.WRONG and len(self._wrong) < _SHOWN:
            self._wrong.append(
                {
                    "turn": turn,
                    "agent": agent,
                    "view": view,
                    "expected": expected.tokens,
                    "returned": reply.tokens,
                    "drift": drift,
                    "gap": expected.gap,
                    "found": reply.found._asdict(),
                    **more,
                }
            )

    def figures(self) -> dict[str, Any]:
        """Return the counts, and wrong answers in full."""
        return {
            "outputs": self.outputs,
            "taken_back": self.taken_back,
            **{verdict.value: self._verdicts[verdict] for verdict in Verdict},
            "largest_drift": self._drift,
            "wrong_answers": self._wrong,
        }
