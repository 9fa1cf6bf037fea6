"""What a run's report says in lines: counts, and what to do where they show a mistake."""

from __future__ import annotations

import pytest

from scalesim.runs import report
from scalesim.runs.stack_counts import StackCounts
from scalesim.runs.tally import Tally


def said(*agents: str) -> dict[str, str]:
    tally = Tally()
    for agent in agents:
        tally.add({"agent": agent, "step": 0, "prompt_tokens": 8})
    counts = StackCounts({}, {}, {})
    return dict(report.lines(report.document(tally, counts, seconds=1.0)))


@pytest.mark.parametrize(
    ("agents", "words"),
    [((), "OPENAI_BASE_URL"), (("anonymous-1", "anonymous-2"), "X-Agent-Id")],
)
def test_what_looks_like_a_mistake_has_advice(agents: tuple[str, ...], words: str) -> None:
    assert words in said(*agents)["advice"]


def test_where_somebody_is_named_there_is_none() -> None:
    assert "advice" not in said("ann", "anonymous-1")
