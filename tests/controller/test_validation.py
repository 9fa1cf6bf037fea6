from typing import Any

import numpy as np
import pytest

from scalesim.controller import validation
from scalesim.errors import InvalidRequestError
from scalesim.vocabulary import Tier
from tests.support.controller_world import residency


@pytest.mark.parametrize("epoch", [None, 1.0, "1", True, -1, 2**60, np.float32(1)])
def test_an_epoch_is_a_whole_number_of_steps(epoch: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validation.check_epoch(epoch)
    assert caught.value.field == "epoch"


def test_numpy_epochs_are_taken() -> None:
    assert validation.check_epoch(np.int64(7)) == 7


@pytest.mark.parametrize(
    "keys",
    [[1, 2], np.array([1.0]), np.array([1], np.int32), np.zeros((2, 2), np.int64), None, "keys"],
)
def test_keys_are_a_flat_int64_array(keys: object) -> None:
    with pytest.raises(InvalidRequestError, match="one-dimensional int64") as caught:
        validation.check_keys(keys)
    assert caught.value.field == "keys"


@pytest.mark.parametrize(
    "distances", [np.zeros(3), np.zeros(2, np.float32), np.zeros((3, 1), np.float32), [1.0] * 3]
)
def test_distances_are_float32_one_a_key(distances: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validation.check_distances(distances, 3)
    assert caught.value.field == "distances"


@pytest.mark.parametrize("expires_in", [0, -1, float("nan"), "5", True])
def test_an_expiry_is_a_positive_number(expires_in: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validation.check_expiry(expires_in)
    assert caught.value.field == "expires_in"


def test_an_expiry_may_be_left_out_or_endless() -> None:
    assert validation.check_expiry(None) is None
    assert validation.check_expiry(float("inf")) == float("inf")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device_bytes", np.zeros(1, np.int64)),
        ("total_bytes", np.zeros(2, np.float64)),
        ("in_use", np.zeros(2, np.int64)),
        ("in_use", np.zeros(3, np.bool_)),
        ("keys", [1, 2]),
    ],
)
def test_residency_holds_one_row_a_key(field: str, value: Any) -> None:
    message = residency({1: Tier.DEVICE, 2: Tier.HOST})
    validation.check_residency(message)
    with pytest.raises(InvalidRequestError) as caught:
        validation.check_residency(message._replace(**{field: value}))
    assert caught.value.field == f"residency.{field}"
