"""`scalesim plan`: the shape of the answer and what is refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scalesim.cli.plan import app
from scalesim.deployments.random_model import build
from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.activation_trace import format_trace
from scalesim.policies.workloads import generate


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(format_trace(generate("event-queue", 20, 20, 0).trace)))
    return path


def invoke(trace: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["--trace", str(trace), *(str(a) for a in arguments)])


@pytest.mark.slow
def test_json_answer(trace: Path) -> None:
    done = invoke(trace, "--agents", 1000, "--step-time", 5, "--policy", "lru,distance", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["gpu"], report["model"], report["agents"]) == ("h100", "llama-3.1-8b", 1000)
    assert list(report["policies"]) == ["lru", "distance"]
    assert report["policies"]["distance"]["gpus"] >= 1
    assert report["calibration"]["prefill_share"] == 0.5


@pytest.mark.slow
def test_a_model_is_a_folder_too(trace: Path, tmp_path: Path) -> None:
    model = build(tmp_path / "model", size="tiny")
    report = json.loads(invoke(trace, "--model", model, "--policy", "lru", "--json").output)
    assert report["state_bytes"] == 20 * 2048 * 512  # agents, tokens, bytes a token in two bytes


@pytest.mark.slow
def test_the_output_says_it_is_a_model(trace: Path) -> None:
    assert "not a measurement" in " ".join(invoke(trace).output.split())


def test_measured_values_replace_assumed_ones(trace: Path, tmp_path: Path) -> None:
    calibration = tmp_path / "measured.json"
    calibration.write_text('{"output_tokens": 512}')
    slow = json.loads(invoke(trace, "--calibration", calibration, "--json").output)
    fast = json.loads(invoke(trace, "--json").output)
    assert slow["calibration"]["output_tokens"] == 512
    step_s = [report["policies"]["lru"]["step_s"]["p50"] for report in (slow, fast)]
    assert step_s[0] > step_s[1]


@pytest.mark.parametrize("text", ["{", "[]", '{"nope": 1}', '{"slots": 0}', '{"slots": "many"}'])
def test_a_calibration_that_cannot_be_used_is_refused(
    trace: Path, tmp_path: Path, text: str
) -> None:
    calibration = tmp_path / "measured.json"
    calibration.write_text(text)
    done = invoke(trace, "--calibration", calibration)
    assert isinstance(done.exception, InvalidRequestError)


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--gpu", "abacus", "gpu"),
        ("--model", "gpt-0", "model"),
        ("--policy", "mru", "policy"),
        ("--agents", 0, "agents"),
        ("--step-time", -1, "step_s"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    trace: Path, option: str, value: object, field: str
) -> None:
    done = invoke(trace, option, value)
    assert isinstance(done.exception, InvalidRequestError)
    assert done.exception.field == field
