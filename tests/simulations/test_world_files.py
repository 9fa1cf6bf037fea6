"""Worlds are found by name, and what is wrong with a name is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalesim.errors import ConfigurationError, ScaleSimError
from scalesim.simulations.driver.world_files import REFERENCE, is_world, load_world
from scalesim.simulations.driver.world_plan import digest, name_of, world_drive

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
    assert name_of(f"{file}:Town") == "town"


def test_the_digest_is_of_source_and_options(tmp_path: Path) -> None:
    file = tmp_path / "village.py"
    file.write_text(TOWN)
    given = (f"{file}:Town", None, 3, 0, None, "stop", 8)
    first = digest(world_drive(*given))
    assert digest(world_drive(*given)) == first
    assert digest(world_drive(*given[:3], 0, "barrier", "stop", 8)) != first
    file.write_text(TOWN + "# changed\n")
    assert digest(world_drive(*given)) != first


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
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, name: str, options: dict[str, object], what: str
) -> None:
    (tmp_path / "town.py").write_text(TOWN)
    (tmp_path / "broken.py").write_text("class Town(")
    name = name.format(file=tmp_path / "town.py", broken=tmp_path / "broken.py")
    given = {"agents": None, "steps": 2, "seed": 0, "stepping": None, "on_error": "stop", **options}
    with pytest.raises(ScaleSimError, match=what):
        world_drive(name, concurrency=8, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_worlds_are_there(name: str) -> None:
    assert load_world(name, 12, 0).count == 12


def test_a_name_is_one_of_a_world() -> None:
    with pytest.raises(ConfigurationError, match="no World named 'Path'"):
        load_world("pathlib:Path", None, 0)
