"""A real scheduler over a device that takes time: requests that meet copies under way."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from scalesim.deployments.random_model import SHAPES
from tests.support.race_scenarios import COPY_S

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the scenarios found; in a process of its own, which the device is part of."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.race_scenarios"]
    folder = str(tmp_path_factory.mktemp("scenarios"))
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(
    "name", ["shares_a_head", "asks_itself", "slots_exhausted", "demoted_at_once"]
)
def test_answers_are_right_beside_copies_under_way(found: dict[str, Any], name: str) -> None:
    assert "fault" not in found[name], found[name]
    assert found[name]["equal"]
    assert found[name]["found"]["device"] + found[name]["found"]["host"] >= 512


def test_who_reads_too_early_answers_something_else(found: dict[str, Any]) -> None:
    assert "fault" not in found["reads_too_early"], found["reads_too_early"]
    assert not found["reads_too_early"]["equal"]


def test_only_the_time_of_the_link_is_counted(found: dict[str, Any]) -> None:
    assert "fault" not in found["is_timed"], found["is_timed"]
    link_s = SHAPES["tiny"].layers * COPY_S  # and what the bytes take, less than a pass does
    assert found["is_timed"]["loaded_s"] == pytest.approx(link_s, abs=1e-3)
    assert found["is_timed"]["loaded_bytes"] == found["is_timed"]["prefix_bytes"] > 0


def test_room_that_is_free_once_a_copy_is_written_is_waited_for(found: dict[str, Any]) -> None:
    assert "fault" not in found["takes_over"], found["takes_over"]
    assert found["takes_over"]["on_the_device"] > 0
    assert found["takes_over"]["given_up"] == 0


def test_an_engine_leaves_no_files(found: dict[str, Any]) -> None:
    assert found["left"] == []


def test_a_simulations_earliest_steps_take_its_places(found: dict[str, Any]) -> None:
    assert "fault" not in found["earliest_steps_first"], found["earliest_steps_first"]
    first_s = found["earliest_steps_first"]["first_s"]
    assert first_s == sorted(first_s)
    assert first_s[0] < first_s[2] < first_s[4]
    assert found["earliest_steps_first"]["other_s"] < first_s[1]
