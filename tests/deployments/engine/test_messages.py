import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesim.deployments.engine.messages import Hello, TransferStats, decode, encode
from scalesim.errors import InvalidRequestError
from scalesim.vocabulary import Budgets, Directives, DistanceUpdate, Moves, Residency


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def moves() -> Moves:
    return Moves(
        "prefix",
        np.array([1, 2], np.uint8),
        np.array([-5, 2**62], np.int64),
        np.array([3, 2], np.uint8),
    )


def rows(n: int) -> Residency:
    column = np.arange(n, dtype=np.int64)
    return Residency("prefix", column, column, column, column, column, column % 2 == 0)


@pytest.mark.parametrize(
    "message",
    [
        Hello(("prefix", "adapter"), (Budgets(1, 2, 3), Budgets(4, 5, 6)), 1024),
        TransferStats("prefix", issued=3, wasted_bytes=9),
        rows(0),
        rows(5),
        Directives(7, 1),
        Directives(
            2**62,
            3,
            True,
            (DistanceUpdate("prefix", np.array([1], np.int64), np.array([np.inf], np.float32)),),
            (moves(),),
        ),
    ],
)
def test_messages_survive_the_wire(message: Any) -> None:
    assert same(decode(encode(message)), message)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise(frame: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        decode(frame)


def test_columns_of_different_lengths_are_refused() -> None:
    crooked = moves()._replace(keys=np.array([1], np.int64))
    with pytest.raises(InvalidRequestError, match="differ in length"):
        decode(encode(Directives(1, 1, moves=(crooked,))))


def test_pickles_are_not_read() -> None:
    with pytest.raises(InvalidRequestError):
        decode(pickle.dumps(Directives(1, 1)))
