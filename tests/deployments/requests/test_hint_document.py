"""A document of hints: what follows from it, and how a bad one is refused."""

import math
from typing import Any

import numpy as np
import pytest

from scalesim import Simulation
from scalesim.deployments.requests.hint_document import known
from scalesim.errors import InvalidRequestError
from scalesim.identity import agent_keys
from tests.support.fake_transport import FakeTransport

INF = float("inf")


def distances(**body: Any) -> dict[int, float]:
    _, epoch, keys, values = known("town", {"epoch": 3, **body}).report
    assert epoch == 3
    assert values.dtype == np.float32
    return dict(zip(keys.tolist(), values.tolist(), strict=True))


def named(expected: dict[str, float]) -> dict[int, float]:
    keys = agent_keys("town", list(expected)).tolist()
    return dict(zip(keys, expected.values(), strict=True))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"active": ["a", 2]}, {"a": 0, "2": 0}),
        ({"order": ["a", "b"], "upcoming": [["c", "a"]]}, {"a": 0, "b": 0.5, "c": 1}),
        ({"wake": {"a": 5.5, "b": None}, "active": ["a"]}, {"a": 2.5, "b": INF}),
        ({"wake": {"a": 1e300}}, {"a": INF}),
        ({"wake": {"late": 1}}, {"late": 2}),
        ({"rate": {"a": 0.5}, "step_hours": 0.5}, {"a": 4}),
        ({"position": {"a": [0, 0, 1, 0], "b": [5, 0]}}, {"a": 4, "b": 4}),
        ({"position": {"a": [0, 0], "b": [5, 0]}, "reach": 6}, {"a": 0, "b": 0}),
        ({"edges": [["a", "b"], ["b", "c"]], "active": ["a"]}, {"a": 0, "b": 1, "c": 2}),
        ({"workflow": [["a", "c"], ["b", "c"]], "active": ["a"]}, {"a": 0, "b": 0, "c": 1}),
    ],
)
def test_the_verbs_of_a_simulation(body: dict[str, Any], expected: dict[str, float]) -> None:
    assert distances(**body) == named(expected)


def test_the_document_says_what_the_client_would() -> None:
    transport = FakeTransport()
    with Simulation("town", transport=transport, reach=2.0) as town:
        town.step(3)
        town.rate("r", per_hour=0.2)
        town.position("a", (0, 0), (1, 0))
        town.position("b", (9, 0), (0, 0))
        town.edges([("a", "e"), ("e", "f")])
        town.step(3, order=["a", "x"], upcoming=[["x"], ["y"]])
        town.wake("late", at=1)
        assert town.flush()
    document = {"rate": {"r": 0.2}, "position": {"a": [0, 0, 1, 0], "b": [9, 0]}, "reach": 2}
    more = {"edges": [["a", "e"], ["e", "f"]], "order": ["a", "x"], "upcoming": [["x"], ["y"]]}
    assert distances(**document, **more, wake={"late": 1}) == named(transport.distances)


def test_lives_change_too() -> None:
    changes = known("town", {"epoch": 0, "pin": ["a"], "done": ["b", "c"]})
    assert changes.changes_lives
    assert [keys.size for keys in changes.changes[1:]] == [1, 0, 2]
    assert not known("town", {"epoch": 0}).changes_lives


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"epoch": None}, "epoch"),
        ({"epoch": 1.5}, "epoch"),
        ({"epoch": -1}, "epoch"),
        ({"pin": "a"}, "pin"),
        ({"active": ["a", "b\n"]}, "active.1"),
        ({"wake": {"a": "soon"}}, "wake.a"),
        ({"wake": {"a": math.nan}}, "wake.a"),
        ({"rate": ["a"]}, "rate"),
        ({"position": {"a": [1]}}, "position.a"),
        ({"position": {"a": [1, "x"]}}, "position.a.1"),
        ({"edges": [["a"]]}, "edges.0"),
        ({"workflow": [["a", "b"], ["b", "a"]]}, "edges"),
        ({"edges": [["a", "b"]] * 5001}, "edges"),
        ({"reach": 0}, "reach"),
        ({"color": 1}, "color"),
    ],
)
def test_a_bad_document_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        known("town", {"epoch": 3, **change})
    assert caught.value.field == field
