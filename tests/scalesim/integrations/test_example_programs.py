"""Examples as their pages say to run them, where what they need is installed here."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from scalesim.cli import run
from tests.frameworks.framework_programs import FRAMEWORKS, Framework
from tests.support.fake_stack import FakeStack
from tests.support.sources import ROOT

pytestmark = pytest.mark.slow


class RanExample(NamedTuple):
    """Who asked, in their order; the hints that came; the report."""

    acted: list[str | None]
    hints: list[dict[str, Any]]
    report: dict[str, Any]


def ran(out: Path, example: Framework) -> RanExample:
    command = [sys.executable, str(ROOT / "examples" / example.program), *example.arguments]
    with FakeStack() as stack:
        where = ["--base-url", stack.base_url, "--out", str(out)]
        result = CliRunner().invoke(run.app, [*where, "--", *command])
    assert result.exit_code == 0, result.output
    acted = [agent for agent, _ in stack.callers]
    hints = [body for path, body in stack.received if path.endswith("/distances")]
    return RanExample(acted, hints, json.loads((out / "report.json").read_text()))


def test_citizens_of_mesa_are_told_apart_and_their_order_is_known(tmp_path: Path) -> None:
    example = FRAMEWORKS["mesa"]
    count, days = map(int, example.arguments)
    acted, hints, report = ran(tmp_path, example)
    citizens = {f"Citizen {number}" for number in range(1, count + 1)}
    assert Counter(acted) == dict.fromkeys(citizens, days)
    steps = [acted[begun : begun + count] for begun in range(0, len(acted), count)]
    assert any(step != steps[0] for step in steps), "it is shuffled"
    assert hints
    for body in hints:
        ahead = sorted(zip(body["distances"], body["ids"], strict=True))
        assert [agent for _, agent in ahead] == steps[body["epoch"] - 1]
    assert report["calls"] == report["calls_named"] == count * days


def test_people_of_generative_agents_are_known_to_ask_when_their_action_ends(
    tmp_path: Path,
) -> None:
    """A step is ten seconds, every action a minute."""
    example = FRAMEWORKS["generative-agents"]
    (steps,) = map(int, example.arguments)
    acts_in = range(1, steps + 1, 6)
    acted, hints, report = ran(tmp_path, example)
    assert acted == [*example.agents] * len(acts_in)
    assert report["calls"] == report["calls_named"] == len(acted)
    foreseen = {
        (agent, body["epoch"] + distance)
        for body in hints
        for agent, distance in zip(body["ids"], body["distances"], strict=True)
        if distance >= 1.0
    }
    assert {agent for agent, _ in foreseen} == set(acted)
    assert foreseen <= {(agent, step + 6) for agent in acted for step in acts_in}
