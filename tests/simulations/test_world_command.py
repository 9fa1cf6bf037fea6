"""`scalesim sim run FILE.py:CLASS` on a stack that runs already: report, transcript, resumption."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs.generate.text import ROOT
from scalesim.errors import ConfigurationError
from scalesim.simulations.run_command import run
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
