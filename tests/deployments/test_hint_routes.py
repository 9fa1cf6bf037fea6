import asyncio
import threading

import numpy as np
import pytest

from scalesim.deployments import hint_routes
from scalesim.errors import InvalidRequestError
from scalesim.identity import agent_keys

GOOD = {"epoch": 3, "ids": ["a", "b"], "distances": [1, 0.5]}


def test_a_report_becomes_arrays() -> None:
    simulation, epoch, keys, distances, expires_in = hint_routes.distances("town", GOOD)
    assert (simulation, epoch, expires_in) == ("town", 3, None)
    assert keys.tolist() == agent_keys("town", ["a", "b"]).tolist()
    assert distances.dtype == np.float32
    assert distances.tolist() == [1.0, 0.5]


def test_integers_are_their_text() -> None:
    _, _, keys, _, _ = hint_routes.distances("town", {**GOOD, "ids": [1, "1"]})
    assert keys.tolist() == agent_keys("town", ["1", "1"]).tolist()


async def test_many_ids_are_read_beside_the_event_loop() -> None:
    reader, places = hint_routes.Reader(), []

    def into(simulation: str, body: dict) -> int:
        places.append(threading.current_thread())
        return len(body["ids"])

    try:
        assert await reader.read(into, "town", {"ids": ["a"]}) == 1
        sizes = [reader.read(into, "town", {"ids": ["a"] * 10_000}) for _ in range(3)]
        assert await asyncio.gather(*sizes) == [10_000] * 3
        assert places[0] is threading.current_thread()
        assert len(set(places[1:])) == 1
        assert places[1] not in (places[0], None)
        with pytest.raises(InvalidRequestError):
            await reader.read(hint_routes.distances, "town", {**GOOD, "ids": [None] * 10_000})
    finally:
        reader.close()


def test_null_forgets_and_huge_is_infinite() -> None:
    _, _, _, distances, _ = hint_routes.distances("town", {**GOOD, "distances": [None, 1e300]})
    assert distances.tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"epoch": "3"}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"epoch": None}, "epoch"),
        ({"ids": "ab"}, "ids"),
        ({"ids": ["a", ""]}, "ids"),
        ({"ids": ["a", "x" * 300]}, "ids"),
        ({"ids": ["a", 7.0]}, "ids"),
        ({"ids": ["a", 10**400]}, "ids"),
        ({"ids": ["a", True]}, "ids"),
        ({"ids": ["a"]}, "distances"),
        ({"distances": 1.0}, "distances"),
        ({"distances": [1.0, "x"]}, "distances"),
        ({"distances": [1.0, True]}, "distances"),
        ({"distances": [1.0, 10**400]}, "distances"),
        ({"expires_in": 10**400}, "expires_in"),
        ({"expires_in": "x"}, "expires_in"),
        ({"color": 1}, "color"),
    ],
)
def test_bad_reports_are_refused_by_field(change: dict, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hint_routes.distances("town", {**GOOD, **change})
    assert caught.value.field == field


def test_lifecycle_lists_become_keys() -> None:
    simulation, pin, unpin, done = hint_routes.lifecycle("town", {"pin": ["a"], "done": ["b", "c"]})
    assert (simulation, len(pin), len(unpin), len(done)) == ("town", 1, 0, 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"pin": "a"}, "pin"), ({"done": ["a\n"]}, "done"), ({"kill": []}, "kill")],
)
def test_bad_lifecycles_are_refused_by_field(body: dict, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hint_routes.lifecycle("town", body)
    assert caught.value.field == field
