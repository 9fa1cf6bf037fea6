"""Cases and arms as data, and the table of their figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalesim.errors import ScaleSimError
from scalesim.simulations.emulated.command import case_of, cases_of
from scalesim.simulations.emulated.emulated_case import ARMS, DEFAULT_CASES, EmulatedCase
from scalesim.simulations.emulated.emulated_table import document, print_table


def test_every_combination_of_values_is_a_case() -> None:
    cases = cases_of(["output=8,16", "think_s=0"])
    assert cases == [EmulatedCase(output=8, think_s=0.0), EmulatedCase(output=16, think_s=0.0)]


@pytest.mark.parametrize("text", ["colour=1", "output=many"])
def test_what_is_no_field_or_no_value_is_refused(text: str) -> None:
    with pytest.raises(ScaleSimError, match=r"output|there is no"):
        cases_of([text])


@pytest.mark.parametrize("case", DEFAULT_CASES, ids=lambda case: case.title)
def test_built_in_cases_have_a_workload_of_their_size(case: EmulatedCase) -> None:
    workload = case.made()
    assert (len(workload.agents), workload.steps) == (case.agents, case.steps)
    assert case.device_tokens >= case.size.total


def test_titles_tell_built_in_cases_apart() -> None:
    titles = [case.title for case in DEFAULT_CASES]
    assert len(set(titles)) == len(titles)


def test_a_recorded_run_is_a_case(tmp_path: Path) -> None:
    file = tmp_path / "town.jsonl"
    events = [{"step": step, "agent": agent} for step in range(3) for agent in ("ann", "bob")]
    file.write_text("\n".join(map(json.dumps, events)))
    case = case_of(file)
    assert (case.agents, case.steps) == (2, 3)
    assert case.made().agents == ("ann", "bob")


def test_peers_hear_distances_in_bands() -> None:
    steps = np.array([0.0, 0.4, 2.6, 7.0, np.inf])
    assert ARMS["scalesim"].reported(steps).tolist() == [0.0, 0.4, 2.6, 7.0, np.inf]
    assert ARMS["kvflow"].reported(steps).tolist() == [0.0, 0.0, 2.0, 7.0, np.inf]
    assert ARMS["official scalesim"].reported(steps).tolist() == [0.0, 0.0, 2.0, 5.0, 5.0]


def figures(busy_s: float, answers: int = 7) -> dict[str, Any]:
    return {
        "busy_s": busy_s,
        "steps": [busy_s],
        "ttft_s": {"p50": 0.02, "p95": 0.03},
        "found": {"device": 1, "host": 1, "storage": 0, "total": 2},
        "answers": answers,
    }


def test_seeds_are_one_row_and_a_fault_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = EmulatedCase(), EmulatedCase(seed=1)
    played = [
        (first, "hicache", figures(2.0)),
        (second, "hicache", figures(3.0)),
        (first, "scalesim", figures(1.0)),
        (second, "scalesim", figures(2.0, answers=8)),
        (first, "stock", {"fault": "RaceError: a copy"}),
    ]
    print_table(played, "h100", {f"{first.title}, scalesim": 1.5})
    shown = capsys.readouterr().out
    assert "1.75x (1.50-2.00)" in shown
    assert "other" in shown
    assert "RaceError" in shown
    assert document(played, "h100", {})["rows"][0]["device"] == "emulated-h100"
