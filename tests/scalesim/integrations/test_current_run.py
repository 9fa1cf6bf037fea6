"""The one simulation of a process: its agents' names, and that it is not of forked children."""

import atexit
from collections.abc import Callable
from typing import Any

import pytest

from scalesim import Simulation
from scalesim.errors import InvalidRequestError
from scalesim.identity import check_agent
from scalesim.integrations import current_run
from scalesim.integrations.agent_names import agent_name
from tests.support.fake_transport import FakeTransport
from tests.support.framework_stand_ins import steps


def test_a_forked_child_does_not_close_its_parent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    current_run.start_over_in_fork()  # of tests before this one
    made = [Simulation("town"), Simulation("town")]
    parents, own = made
    at_exit: list[Callable[..., object]] = []
    monkeypatch.setattr(atexit, "register", lambda work, *_: at_exit.append(work))
    monkeypatch.setattr(atexit, "unregister", at_exit.remove)
    monkeypatch.setattr("scalesim.simulation.Simulation", lambda: made.pop(0))
    assert current_run.simulation() is current_run.simulation() is parents
    current_run.start_over_in_fork()
    assert at_exit == []
    assert current_run.simulation() is own
    assert at_exit == [own.close]
    current_run.start_over_in_fork()


LONG = "An editor of a small newspaper, who has seen everything. " * 9


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("writer", "writer"),
        (7, "7"),
        ("Senior\n  Writer\t", "Senior Writer"),
        ("a\u202eb\ud800c", "a b c"),
        ("J\u00fcrgen\n", "J\u00fcrgen"),
        ("", None),
        (" \n", None),
    ],
)
def test_a_name_of_a_framework_becomes_one(given: Any, name: str | None) -> None:
    assert agent_name(given) == name


def test_long_names_that_begin_alike_are_told_apart() -> None:
    names = {agent_name(LONG + end) for end in ("", "a", "b")}
    assert len(names) == 3
    assert all(check_agent(str(name)).startswith(LONG[:100]) for name in names)


def test_what_is_no_name_at_all_is_an_error() -> None:
    with pytest.raises(InvalidRequestError):
        agent_name(object())  # type: ignore[arg-type]


def test_odd_names_are_the_same_in_hints_and_calls(reported: FakeTransport) -> None:
    agents = ["Senior\nWriter", LONG, "", "ann"]
    current_run.begin_step(order=agents)
    who = [identity.agent for agent in agents if (identity := current_run.identity(agent))]
    assert list(steps(reported)) == who
    assert len(who) == 3
    current_run.foresee({"Senior\nWriter": 4.0})
    assert steps(reported)["Senior Writer"] == 4.0
    current_run.pin("the\nrules")
    assert current_run.simulation().flush()
    assert reported.changes == [(["the rules"], [], [])]
