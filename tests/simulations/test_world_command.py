"""`scalesim sim run FILE.py:CLASS` on a stack that runs already: report, transcript, resumption."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from docs.generate.text import ROOT
from scalesim.errors import ConfigurationError, UnavailableError
from scalesim.sender import Stats
from scalesim.settings import ClientSettings
from scalesim.simulations.arm_run import Run, RunOptions, WatchStep
from scalesim.simulations.call_table import CALL, CallTable
from scalesim.simulations.driver.world_arms import on_stack
from scalesim.simulations.run_command import run
from scalesim.simulations.society import society
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize
from tests.support.fake_stack import FakeStack

VILLAGE = ROOT / "docs/tutorials/01-a-village.md"


@pytest.mark.ray
def test_a_world_runs_on_a_stack_over_workers(
    ray_local: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (code,) = re.findall(r"```python\n(.*?)```", VILLAGE.read_text(), flags=re.S)
    file = tmp_path / "village.py"
    file.write_text(code)
    said = tmp_path / "said.txt"
    with FakeStack() as stack:
        stack.status = {"data": [{"id": "small"}], "simulations": {}, "replicas": {}}
        run(
            f"{file}:Village",
            agents=20,
            steps=6,
            base_url=stack.base_url,
            out=tmp_path / "out",
            transcript=said,
            arms="scalesim",
            as_json=True,
        )
    result = json.loads(capsys.readouterr().out)
    figures = result["arms"]["scalesim"]
    assert figures["calls"] == len(stack.calls) > 0
    assert figures["errors"] == 0
    assert {agent for agent, _ in stack.calls} <= {f"villager-{row}" for row in range(20)}
    lines = said.read_text().splitlines()
    assert sum(line.startswith("  villager-") for line in lines) == figures["calls"]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["run"]["simulation"], report["run"]["agents"]) == ("village", 20)
    assert not (tmp_path / "out/checkpoint").exists()


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("town", {"active": 0.5}, "neither --active nor --trace"),
        ("society", {"trace": Path("t.jsonl")}, "but no --trace"),
        ("trace", {}, "needs --trace"),
    ],
)
def test_options_of_one_kind_are_not_of_another(
    name: str, options: dict[str, object], what: str
) -> None:
    with pytest.raises(ConfigurationError, match=what):
        run(name, **options)  # type: ignore[arg-type]


def test_adapters_are_not_built_for_a_stack_that_runs() -> None:
    with pytest.raises(ConfigurationError, match="leave them out with --base-url"):
        run("society", base_url="http://127.0.0.1:1", adapters="distinct")


@pytest.mark.ray
@pytest.mark.parametrize("name", ["society", "trace"])
def test_who_calls_by_a_schedule_does_so_on_a_stack_in_english(
    ray_local: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    events = [(0, "ann"), (0, "ben"), (0, "ann"), (4, "eve"), (4, "ben"), (7, "ann")]
    trace, said = tmp_path / "trace.jsonl", tmp_path / "said.txt"
    trace.write_text("".join(json.dumps({"step": s, "agent": a}) + "\n" for s, a in events))
    given = {"trace": trace} if name == "trace" else {"agents": 3, "active": 0.7, "steps": 3}
    with FakeStack() as stack:
        stack.status = {"data": [{"id": "small"}], "simulations": {}, "replicas": {}}
        run(
            name,
            base_url=stack.base_url,
            out=tmp_path / "out",
            transcript=said,
            think=0.01,
            as_json=True,
            **given,  # type: ignore[arg-type]
        )
    figures = json.loads(capsys.readouterr().out)["arms"]["scalesim"]
    assert (figures["calls"], figures["errors"], figures["think_s"]) == (6, 0, 0.03)
    assert len(stack.calls) == 3 + 6  # with the warm-up
    assert all(prompt.startswith(f"You are {agent}, the ") for agent, prompt in stack.calls)
    lines = said.read_text().splitlines()
    assert [line for line in lines if line.startswith("step")] == ["step 1", "step 2", "step 3"]
    assert lines[1].strip() in (tmp_path / "out/report.html").read_text()


class Unanswered:
    """A run of whose warm-up so many of three calls fail."""

    workload = society(agents=3, steps=1, active=0.4, size=PromptSize(private=64))

    def __init__(self, failed: int) -> None:
        errors = ["longer than the model's context"] * failed + [""] * (3 - failed)
        self._calls = CallTable(np.zeros(3, CALL), [""] * 3, errors)

    def __call__(self, target: Target, options: RunOptions, watch: WatchStep, folder: Path) -> Run:
        watch(0, self._calls)
        none = CallTable(np.zeros(0, CALL), [], [])
        return Run(self._calls, 0.0, none, np.zeros(1), 0.0, 0.0, Stats())


@pytest.mark.ray
def test_a_stack_that_answers_nobody_ends_the_run_with_its_reason(
    ray_local: None, tmp_path: Path
) -> None:
    with FakeStack() as stack:
        stack.status = {"data": [{"id": "small"}], "simulations": {}, "replicas": {}}
        client = ClientSettings(base_url=stack.base_url)
        assert on_stack(Unanswered(2), client, RunOptions(), tmp_path)["scalesim"]
        with pytest.raises(UnavailableError, match=r"none of the 3 calls.*model's context"):
            on_stack(Unanswered(3), client, RunOptions(), tmp_path)
