"""The code of the tutorials runs, and does what the text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import scalesim
from docs.generate.text import ROOT
from scalesim.simulations.driver.drive import DriveOptions, stepping_of
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_files import load_world
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.driver_worlds import HashModel
from tests.support.fake_stack import FakeStack

VILLAGE = (ROOT / "docs/tutorials/01-a-village.md").read_text()
STEPS = 10


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
        run_world(
            WorldRun(world, DriveOptions(STEPS, stepping), "village", tmp_path / stepping),
            HashModel,
            pool,
            None,
            lambda *_: None,
        ).calls.by_call()
        for stepping in ("barrier", "causal")
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 10


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


def test_methods_that_are_named_are_there() -> None:
    text = (ROOT / "docs/tutorials/02-who-acts.md").read_text()
    methods = set(re.findall(r"`(?:await )?town\.(\w+)\(", text))
    assert {"step", "wake", "rate", "position", "edges", "workflow", "pin", "done"} <= methods
    assert {name for name in methods if not hasattr(scalesim.Simulation, name)} == set()


@pytest.mark.parametrize("name", ["town", "feed", "workflow", "debate"])
def test_the_worlds_it_names_are_there(name: str) -> None:
    assert f"`{name}`" in VILLAGE
    assert load_world(name, 6, 0).count == 6
