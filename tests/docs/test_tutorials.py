"""The code of the tutorials runs, and does what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate.text import ROOT
from scalesim.simulations.driver.drive import DriveOptions, stepping_of
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool
from scalesim.simulations.driver.world_files import load_world
from scalesim.simulations.driver.world_run import WorldRun, run_world
from tests.support.driver_worlds import HashModel

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


@pytest.mark.parametrize("name", ["town", "feed", "workflow", "debate"])
def test_the_worlds_it_names_are_there(name: str) -> None:
    assert f"`{name}`" in VILLAGE
    assert load_world(name, 6, 0).count == 6
