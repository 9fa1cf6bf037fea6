"""Recorded activations."""

from pathlib import Path

import pytest

from scalesim.errors import ConfigurationError, InvalidRequestError
from scalesim.simulations.trace import read_recording, recorded
from scalesim.simulations.workload import PromptSize
from tests.support.beside_checkout import SMALLVILLE, needs_smallville


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_repeated_events_are_several_calls_and_empty_steps_are_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"step": 3, "agent": "Maria", "place": 7}',
        '{"step": 3, "agent": "Klaus"}',
        '{"step": 3, "agent": "Maria"}',
        '{"step": 9, "agent": "Klaus"}',
    )
    agents, calls = read_recording(path)
    assert agents == ("Maria", "Klaus")
    assert [step.tolist() for step in calls] == [[0, 1, 0], [1]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (['{"step": 1, "agent": "a"}', "not json"], "line 2 of the trace is not an object"),
        (['{"step": "x", "agent": "a"}'], "line 1 of the trace has step"),
        (['{"agent": "a"}'], "line 1 of the trace has step"),
    ],
)
def test_what_is_not_a_recording_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        read_recording(write(tmp_path, *lines))


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="give a file"):
        read_recording(tmp_path / "none.jsonl")


def test_events_in_any_order_are_steps_in_theirs(tmp_path: Path) -> None:
    path = write(tmp_path, '{"step": 2.5, "agent": 7}', '{"step": 1, "agent": "a"}')
    agents, calls = read_recording(path)
    assert [[agents[row] for row in step] for step in calls] == [["a"], ["7"]]


def test_steps_beyond_the_recording_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '{"step": 1, "agent": "a"}')
    with pytest.raises(ConfigurationError, match="has 1 steps"):
        recorded(path, steps=2, size=PromptSize())


@needs_smallville
def test_smallville_is_read_whole() -> None:
    workload = recorded(SMALLVILLE, size=PromptSize())
    calls = sum(len(workload.schedule.calls(step)) for step in range(1, workload.steps + 1))
    assert (len(workload.agents), calls) == (25, 2576)
    assert recorded(SMALLVILLE, steps=3, size=PromptSize()).steps == 3
