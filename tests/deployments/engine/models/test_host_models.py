"""Models in host memory, read from a storage that answers when asked to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from math import inf

import pytest

from scalesim.deployments.engine.models.host_models import HostModels
from scalesim.deployments.engine.payloads.moves import MoveOutcome

DEADLINE_S = 10.0


class FakeModelStorage:
    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def begin(self, model: str) -> Callable[[], str]:
        return partial(self.read, model)

    def read(self, model: str) -> str:
        assert self.gate.wait(DEADLINE_S)
        if model.startswith("broken"):
            raise OSError("damaged")
        return model.upper()


@pytest.fixture
def storage() -> Iterator[FakeModelStorage]:
    storage = FakeModelStorage()
    yield storage
    storage.gate.set()


@pytest.fixture
def host(storage: FakeModelStorage) -> HostModels[str]:
    return HostModels(2, storage.begin, {"a": 1.0, "b": 5.0, "c": 3.0}.__getitem__)


def bring(host: HostModels[str], model: str, nearer_than: float = -inf) -> MoveOutcome:
    outcome = host.fetch(model, nearer_than, ())
    host.await_read(DEADLINE_S)
    host.ended()
    return outcome


def test_a_model_is_here_whole_or_not_at_all(
    host: HostModels[str], storage: FakeModelStorage
) -> None:
    storage.gate.clear()
    assert host.fetch("a", inf, ()) is MoveOutcome.STARTED
    assert host.reading == "a"
    assert host.ended() is None
    assert "a" not in host.held
    assert host.fetch("b", inf, ()) is MoveOutcome.BUSY
    storage.gate.set()
    host.await_read(DEADLINE_S)
    ended = host.ended()
    assert ended is not None
    assert (ended.model, ended.error) == ("a", None)
    assert host["a"] == "A"
    assert host.fetch("a", inf, ()) is MoveOutcome.DONE


def test_the_farthest_makes_room(host: HostModels[str]) -> None:
    bring(host, "a")
    bring(host, "b")
    assert host.fetch("d", inf, ()) is MoveOutcome.REFUSED
    assert bring(host, "c", 3.0) is MoveOutcome.STARTED
    assert set(host.held) == {"a", "c"}


def test_what_requests_wait_for_makes_no_room(host: HostModels[str]) -> None:
    bring(host, "a")
    bring(host, "b")
    assert host.fetch("c", -inf, ("a", "b")) is MoveOutcome.REFUSED
    assert host.fetch("c", -inf, ("a",)) is MoveOutcome.STARTED
    assert set(host.held) == {"a"}


def test_a_read_that_fails_is_reported_and_can_be_tried_again(host: HostModels[str]) -> None:
    for _ in range(2):
        assert host.fetch("broken", inf, ()) is MoveOutcome.STARTED
        host.await_read(DEADLINE_S)
        ended = host.ended()
        assert ended is not None
        assert isinstance(ended.error, OSError)
        assert host.reading is None
    assert bring(host, "a") is MoveOutcome.STARTED
    assert set(host.held) == {"a"}


def test_nothing_is_here_before_all_ranks_have_it(storage: FakeModelStorage) -> None:
    agree = False
    host = HostModels(2, storage.begin, lambda model: inf, lambda yes: yes and agree)
    host.fetch("a", inf, ())
    host.await_read(DEADLINE_S)
    assert host.ended() is None
    agree = True
    assert host.ended() is not None
    assert set(host.held) == {"a"}
