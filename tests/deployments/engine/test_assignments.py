from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scalesim.deployments.engine.assignments import Assignments
from scalesim.errors import InvalidRequestError, UnavailableError
from scalesim.identity import agent_key

BOB, ANN = "town/bob", "town/the/ann"


def of(assignments: Assignments, agent: str) -> str | None:
    return assignments.of(agent_key(*agent.split("/", 1)))


def test_an_engine_sees_what_a_command_changes(tmp_path: Path) -> None:
    engine, command = Assignments(tmp_path), Assignments(tmp_path)
    assert of(engine, BOB) is None
    command.assign("farmer", [BOB, ANN])
    assert (of(engine, BOB), of(engine, ANN), of(engine, "city/bob")) == ("farmer", "farmer", None)
    command.assign("baker", [ANN])
    assert (of(engine, BOB), of(engine, ANN)) == ("farmer", "baker")
    command.forget("farmer")
    assert (of(engine, BOB), of(engine, ANN)) == (None, "baker")


def test_the_file_is_read_once_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignments = Assignments(tmp_path)
    assignments.assign("farmer", [BOB])
    assert of(assignments, BOB) == "farmer"
    monkeypatch.delattr(Path, "read_bytes")
    assert of(assignments, BOB) == "farmer"


def test_what_agents_had_can_be_taken_from_them(tmp_path: Path) -> None:
    assignments = Assignments(tmp_path)
    assignments.assign("farmer", [BOB, ANN])
    assignments.take([BOB, "town/nobody"])
    assert (of(assignments, BOB), of(assignments, ANN)) == (None, "farmer")
    with pytest.raises(InvalidRequestError, match="SIMULATION/AGENT"):
        assignments.take([ANN, "ann"])
    assert of(assignments, ANN) == "farmer"


def test_a_lock_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalesim.deployments.engine.assignments.LOCK_S", 0.0)
    assignments = Assignments(tmp_path)
    assignments.assign("farmer", [BOB])
    with (tmp_path / ".agents.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match=r"agents\.lock was locked for 0 s"):
            assignments.assign("baker", [BOB])
    assignments.assign("baker", [BOB])
    assert of(assignments, BOB) == "baker"


def test_commands_at_the_same_time_keep_each_others_changes(tmp_path: Path) -> None:
    agents = [f"town/{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as commands:
        list(commands.map(lambda agent: Assignments(tmp_path).assign("farmer", [agent]), agents))
    assert sorted(Assignments(tmp_path).all()) == sorted(agents)


@pytest.mark.parametrize("agent", ["bob", "/bob", "town/", "to wn/bob", "town/b\x00b"])
def test_what_is_no_agent_is_refused(tmp_path: Path, agent: str) -> None:
    with pytest.raises(InvalidRequestError):
        Assignments(tmp_path).check([BOB, agent])


@pytest.mark.parametrize("broken", ["", "[]", '{"town/bob": 3}', '{"town/bob": "farm'])
def test_a_broken_file_is_named_and_kept(tmp_path: Path, broken: str) -> None:
    assignments = Assignments(tmp_path)
    assignments.assign("farmer", [BOB])
    (file,) = tmp_path.glob("*.json")
    file.write_text(broken)
    for use in (assignments.all, lambda: assignments.of(1), lambda: assignments.assign("x", [ANN])):
        with pytest.raises(InvalidRequestError, match=r"\.agents\.json cannot be read"):
            use()
    assert file.read_text() == broken
