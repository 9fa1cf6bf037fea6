"""The code of the tutorials runs, and does what the text says."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import scalesim
from docs.generate.text import ROOT
from scalesim.cli.main import app
from scalesim.simulations.driver.drive import DriveOptions, stepping_of
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_files import load_world
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.adapter_files import write_adapter
from tests.support.driver_worlds import HashModel
from tests.support.fake_stack import FakeStack

TUTORIALS = ROOT / "docs/tutorials"
VILLAGE = (ROOT / "docs/tutorials/01-a-village.md").read_text()
STEPS = 10


@pytest.mark.slow
def test_the_village_runs_as_it_stands(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", VILLAGE, flags=re.S)
    assert len(code.splitlines()) <= 65
    file = tmp_path / "village.py"
    file.write_text(code)
    world = load_world(f"{file}:Village", 20, 0)
    assert stepping_of(world, None) == "causal"

    def pool() -> LocalPool:
        return LocalPool(TurnRunner(world, HashModel(), "village", STEPS + 1))

    texts = [
        asyncio.run(
            run_world(
                WorldRun(world, DriveOptions(STEPS, stepping), "village", tmp_path / stepping),
                HashModel,
                pool,
                None,
                lambda *_: None,
            )
        ).calls.by_call()
        for stepping in ("barrier", "causal")
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 10


@pytest.mark.slow
def test_the_lines_that_say_who_acts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/tutorials/02-who-acts.md").read_text()
    with FakeStack() as stack:
        monkeypatch.setenv("SCALESIM_BASE_URL", stack.base_url)
        names: dict[str, Any] = {"BASE_URL": f"{stack.base_url}/v1"}
        for code in re.findall(r"```python\n(.*?)```", text, flags=re.S):
            exec(code, names)
        names["client"].close()
        names["town"].close()
    scalesim.instrument_openai()()
    assert stack.callers == [(name, "town") for name in ("ann", "bob", "eve")] * 3
    bodies = [body for path, body in stack.received if path == "/v1/simulations/town/distances"]
    assert bodies[-1]["epoch"] == 2
    assert sorted(zip(bodies[-1]["distances"], bodies[-1]["ids"], strict=True))[0] == (0.0, "ann")


def commands(name: str) -> list[list[str]]:
    """Return the words of each command of ours in a tutorial."""
    text = (TUTORIALS / name).read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.S)
    blocks += re.findall(r"`(scalesim [^`]+)`", text)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("scalesim ")]


def options() -> dict[str, set[str]]:
    """Return the options of each verb, by the page that is made from them."""
    page = (ROOT / "docs/reference/cli.md").read_text()
    sections = re.split(r"^## `scalesim (.*)`$", page, flags=re.M)[1:]
    return {
        verb: set(re.findall(r"(--[\w-]+)(?=[`,])", text))
        for verb, text in zip(sections[::2], sections[1::2], strict=True)
    }


@pytest.mark.parametrize("text", sorted(TUTORIALS.rglob("*.md")), ids=lambda text: text.stem)
def test_commands_take_what_they_are_given(text: Path) -> None:
    known = options()
    known["sim submit"] |= known["sim run"]
    for words in commands(str(text.relative_to(TUTORIALS))):
        ours = list(itertools.takewhile(lambda word: word != "--", words))
        verb = " ".join(ours[:2]) if " ".join(ours[:2]) in known else ours[0]
        given = {word for word in ours if word.startswith("--")}
        assert given <= known[verb], (words, given - known[verb])


PROGRAM = """
import os, httpx, scalesim

for step in range(3):
    for name in ("ann", "bob"):
        with scalesim.agent(name):
            asked = {"model": "m", "messages": [{"role": "user", "content": name}]}
            httpx.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=asked)
"""


@pytest.mark.slow
def test_programs_are_run_and_their_traces_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    (tmp_path / "my_simulation.py").write_text(PROGRAM)
    reading = (TUTORIALS / "05-reading-the-report.md").read_text()
    (told,) = re.findall(r"```\n(.*?)```", reading, flags=re.S)
    made = told.split()[-1]
    lines = [["run", "--out", made, "--", "python", "my_simulation.py"]]
    for name in ("03-your-framework.md", "05-reading-the-report.md", "when-it-does-not-pay.md"):
        lines += [words for words in commands(name) if re.search(r"\.(py|jsonl)\b", str(words))]
    said = []
    with FakeStack() as stack:
        monkeypatch.setenv("SCALESIM_BASE_URL", stack.base_url)
        for words in lines:
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0, (words, result.output)
            said.append(result.output)
    assert [words[0] for words in lines] == ["run", "run", "replay", "plan", "run", "replay"]
    labels = {line[:11].strip() for line in told.splitlines()}
    lasts = [line for line in said[0].splitlines() if line.startswith("my_simulation")]  # progress
    shown = {line[:11].strip() for line in said[0].splitlines() if line not in lasts}
    assert shown - {""} <= labels
    assert "lru" in said[-1]
    assert "belady" in said[-1]
    assert len(stack.callers) == 18


@pytest.mark.slow
def test_adapters_are_taken_in_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("baker-lora", "smith-lora")):
        write_adapter(tmp_path / "saved" / name, seed).rename(name)
    runner = CliRunner()
    listing = [words for words in commands("04-adapters.md") if "--root" in words]
    for words in listing:
        result = runner.invoke(app, words)
        assert result.exit_code == 0, (words, result.output)
    assert {"baker", "smith"} <= set(result.output.split())
    with FakeStack() as stack:
        monkeypatch.setenv("SCALESIM_BASE_URL", stack.base_url)
        names: dict[str, Any] = {"BASE_URL": f"{stack.base_url}/v1"}
        text = (TUTORIALS / "04-adapters.md").read_text()
        for code in re.findall(r"```python\n(.*?)```", text, flags=re.S):
            exec(code, names)
        names["client"].close()
        names["town"].adapter("bob", "")
        names["town"].close()
    scalesim.instrument_openai()()
    assert stack.callers == [("ann", "town"), ("bob", "town")]
    headers = [{name.lower(): value for name, value in each.items()} for each in stack.headers]
    named = [each.get("x-agent-adapter") for each in headers if "x-agent-id" in each]
    assert named == [None, "smith"]


@pytest.mark.slow
def test_a_fleet_is_sized_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    text = (TUTORIALS / "06-how-many-gpus.md").read_text()
    for words in commands("06-how-many-gpus.md"):
        if words[0] in ("trace", "replay", "plan") and "record" not in words and len(words) > 1:
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0, (words, result.output)
            for row in (line for line in text.splitlines() if line.startswith("│ distance")):
                said = row.split()[1:]
                if words[0] == ("replay" if "%" in said[2] else "plan"):
                    assert row.split() in [line.split() for line in result.output.splitlines()]


def test_methods_that_are_named_are_there() -> None:
    text = (ROOT / "docs/tutorials/02-who-acts.md").read_text()
    methods = set(re.findall(r"`(?:await )?town\.(\w+)\(", text))
    assert {"step", "wake", "rate", "position", "edges", "workflow", "pin", "done"} <= methods
    assert {name for name in methods if not hasattr(scalesim.Simulation, name)} == set()


@pytest.mark.parametrize("name", ["town", "feed", "workflow", "debate"])
def test_the_worlds_it_names_are_there(name: str) -> None:
    assert f"`{name}`" in VILLAGE
    assert load_world(name, 6, 0).count == 6
