"""The simulation of a process is not that of the children it forks."""

import atexit
from threading import Lock
from typing import Any

import pytest

from scalesim import Simulation
from scalesim.integrations import current_run


def test_a_forked_child_does_not_close_its_parent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = Simulation("town")
    monkeypatch.setattr(current_run, "_simulation", parents)
    monkeypatch.setattr(current_run, "_lock", Lock())
    forgotten: list[Any] = []
    monkeypatch.setattr(atexit, "unregister", forgotten.append)
    current_run.start_over_in_fork()
    assert forgotten == [parents.close]
    assert current_run._simulation is None
