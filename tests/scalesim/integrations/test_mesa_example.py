"""A framework that is installed here, not a stand-in for it: an example as people copy it."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalesim.cli import run
from tests.support.fake_stack import FakeStack
from tests.support.sources import ROOT

CITIZENS, STEPS = 5, 3


@pytest.mark.slow
def test_citizens_are_told_apart_and_their_order_is_known(tmp_path: Path) -> None:
    example = str(ROOT / "examples/mesa/mesa_town.py")
    with FakeStack() as stack:
        where = ["--base-url", stack.base_url, "--out", str(tmp_path)]
        program = [sys.executable, example, str(CITIZENS), str(STEPS)]
        result = CliRunner().invoke(run.app, [*where, "--", *program])
    assert result.exit_code == 0, result.output
    acted = [agent for agent, _ in stack.callers]
    citizens = {f"Citizen {number}" for number in range(1, CITIZENS + 1)}
    assert Counter(acted) == dict.fromkeys(citizens, STEPS)
    steps = [acted[begun : begun + CITIZENS] for begun in range(0, len(acted), CITIZENS)]
    assert any(step != steps[0] for step in steps), "it is shuffled"
    reported = [body for path, body in stack.received if path.endswith("/distances")]
    assert reported
    for body in reported:
        ahead = sorted(zip(body["distances"], body["ids"], strict=True))
        assert [agent for _, agent in ahead] == steps[body["epoch"] - 1]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["calls_named"] == report["calls"] == CITIZENS * STEPS
