"""What was measured: one row a call, and the text it returned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.simulations.chat_caller import Answer

CALL = np.dtype(
    [
        ("step", np.int32),
        ("agent", np.int32),
        ("call", np.int32),  # of the agent within the step
        ("start_s", np.float64),  # monotonic clock of the machine
        ("ttft_s", np.float64),  # to the first token; nan where none came
        ("latency_s", np.float64),  # to the last token
        ("prompt_tokens", np.int32),
        ("device_tokens", np.int32),
        ("host_tokens", np.int32),
        ("storage_tokens", np.int32),
        ("output_tokens", np.int32),
        ("replica", "U64"),
    ]
)


class CallRow(NamedTuple):
    """One finished call: when, who, which of the agent's calls in the step, and the answer."""

    step: int
    row: int
    call: int
    answer: Answer


class CallTable(NamedTuple):
    """A batch of finished calls.

    Attributes:
        rows: `CALL`[n].
        texts: What each call returned; empty where it failed.
        errors: Why it failed; empty where it did not.
    """

    rows: NDArray[Any]
    texts: list[str]
    errors: list[str]

    @property
    def failed(self) -> int:
        """How many calls failed."""
        return sum(map(bool, self.errors))

    def faster(self, times: float) -> CallTable:
        """Return the same calls with all seconds divided."""
        rows = self.rows.copy()
        for name in ("start_s", "ttft_s", "latency_s"):
            rows[name] /= times
        return self._replace(rows=rows)

    def by_call(self) -> dict[tuple[int, int, int], str]:
        """Return the texts by (agent, step, call), in that order."""
        calls = zip(*(self.rows[name].tolist() for name in ("agent", "step", "call")), strict=True)
        return dict(sorted(zip(calls, self.texts, strict=True)))

    def tokens_sha256(self) -> str:
        """Return the hash of all texts in the order of (agent, step, call)."""
        return hashlib.sha256("\n".join(self.by_call().values()).encode()).hexdigest()


def calls_of(finished: Sequence[CallRow]) -> CallTable:
    """Return the calls as arrays."""
    rows = [_row(*call) for call in finished]
    answers = [call.answer for call in finished]
    return CallTable(
        np.array(rows, CALL),
        [answer.text for answer in answers],
        [answer.error for answer in answers],
    )


def joined(batches: Iterable[CallTable]) -> CallTable:
    """Return all calls of several batches in their order."""
    batches = list(batches)
    return CallTable(
        np.concatenate([np.empty(0, CALL), *(batch.rows for batch in batches)]),
        [text for batch in batches for text in batch.texts],
        [error for batch in batches for error in batch.errors],
    )


def _row(step: int, agent: int, call: int, answer: Answer) -> tuple[object, ...]:
    times = (answer.start_s, answer.ttft_s, answer.latency_s)
    return (step, agent, call, *times, *answer.cached, answer.output_tokens, answer.replica)
