"""Worlds are found by name, and what is wrong with a name is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scalesim.errors import ConfigurationError, ScaleSimError
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.driver.world_files import REFERENCE, is_world, load_world
from scalesim.simulations.driver.world_plan import ChosenSimulation, digest, options_of
from scalesim.simulations.workload import PromptSize

TOWN = """
import scalesim

class Town(scalesim.World):
    reach, speed = 1.0, 1.0
    def position(self, state):
        return (0.0, 0.0)

class Plain(scalesim.World):
    pass
"""


def test_a_world_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "town.py"
    file.write_text(TOWN)
    world = load_world(f"{file}:Town", 7, 3)
    assert (type(world).__name__, world.count, world.seed) == ("Town", 7, 3)
    assert is_world("town.py:Town")
    assert is_world("town")
    assert not is_world("society")
    assert chosen(f"{file}:Town").drive().workload.name == "town"


def chosen(name: str, **more: Any) -> ChosenSimulation:
    given = {"agents": None, "active": None, "trace": None, "steps": 3, "seed": 0}
    return ChosenSimulation(name, size=PromptSize(), in_words=False, **given | more)  # type: ignore[arg-type]


def test_the_digest_is_of_source_and_options(tmp_path: Path) -> None:
    file = tmp_path / "village.py"
    file.write_text(TOWN)

    def digest_of(stepping: str | None = None, seed: int = 0) -> str:
        drive = chosen(f"{file}:Town", seed=seed).drive()
        return digest(drive, options_of(drive, 2, 8, None, stepping, "stop"))

    first = digest_of()
    assert digest_of() == first == digest_of("causal")
    assert len({first, digest_of("barrier"), digest_of(seed=1)}) == 3
    file.write_text(TOWN + "# changed\n")
    assert digest_of() != first


def test_simulations_have_their_own_defaults(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"step": 0, "agent": "ann"}\n')
    file = tmp_path / "town.py"
    file.write_text(TOWN)

    def options(name: str, **more: Any) -> RunOptions:
        return options_of(chosen(name, **more).drive(), 2, None, None, None, "stop")

    assert options("society")[1:4] == (64, 0.3, "barrier")
    assert options("trace", trace=trace, steps=None)[1:4] == (4, 0.3, "barrier")
    assert options(f"{file}:Town")[1:4] == (64, 0.0, "causal")


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("nowhere.py:Town", {}, "there is no file"),
        ("{file}:Village", {}, "use one of Town, Plain"),
        ("{broken}:Town", {}, "cannot be run: SyntaxError"),
        ("no.such.module:Town", {}, "cannot be imported"),
        ("{file}:Plain", {"stepping": "causal"}, "does not say who can have an effect"),
        ("{file}:Town", {"stepping": "sideways"}, "use barrier or causal"),
        ("{file}:Town", {"on_error": "panic"}, "use stop or continue"),
        ("{file}:Town", {"agents": 0}, "at least one agent"),
        ("{file}:Town", {"think_s": 1.0}, "use --stepping barrier"),
        ("society", {"stepping": "causal"}, "does not say who can have an effect"),
        ("crowd", {}, "there is no simulation 'crowd'"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, name: str, options: dict[str, Any], what: str
) -> None:
    (tmp_path / "town.py").write_text(TOWN)
    (tmp_path / "broken.py").write_text("class Town(")
    name = name.format(file=tmp_path / "town.py", broken=tmp_path / "broken.py")
    agents = options.pop("agents", None)
    given = {"workers": 2, "concurrency": 8, "think_s": None, "stepping": None, "on_error": "stop"}
    with pytest.raises(ScaleSimError, match=what):
        options_of(chosen(name, agents=agents).drive(), **given | options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_worlds_are_there(name: str) -> None:
    assert load_world(name, 12, 0).count == 12


def test_a_name_is_one_of_a_world() -> None:
    with pytest.raises(ConfigurationError, match="no World named 'Path'"):
        load_world("pathlib:Path", None, 0)
