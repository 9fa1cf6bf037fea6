"""Checks of what arrives at the controller, before anything is changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.errors import InvalidRequestError
from scalesim.vocabulary import Keys, Residency

MAX_EPOCH = 2**53
"""Steps above it are not exact in float64."""


def check_epoch(epoch: object) -> int:
    """Return `epoch` if it is a whole number of steps.

    Raises:
        InvalidRequestError: It is not an int from 0 to 2**53.
    """
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer):
        raise InvalidRequestError(
            f"epoch is a {type(epoch).__name__}: send the simulation's step as an int", "epoch"
        )
    if not 0 <= epoch <= MAX_EPOCH:
        raise InvalidRequestError(f"epoch {epoch} is out of range: use 0 to 2**53", "epoch")
    return int(epoch)


def check_keys(keys: object, field: str = "keys") -> Keys:
    """Return `keys` if they are an array of agent keys.

    Raises:
        InvalidRequestError: Not a one-dimensional int64 array.
    """
    checked: Keys = _check_array(keys, field, np.dtype(np.int64))
    return checked


def check_distances(distances: object, length: int) -> NDArray[np.float32]:
    """Return `distances` if there is one for each of `length` keys.

    Raises:
        InvalidRequestError: Not a one-dimensional float32 array of that length.
    """
    checked: NDArray[np.float32] = _check_array(distances, "distances", np.dtype(np.float32))
    _check_length(checked, "distances", length)
    return checked


def check_expiry(expires_in: object) -> float | None:
    """Return the steps from now after which a distance is forgotten, None where not said.

    Raises:
        InvalidRequestError: Not a positive number.
    """
    if expires_in is None:
        return None
    if (
        isinstance(expires_in, bool)
        or not isinstance(expires_in, int | float)
        or math.isnan(expires_in)
        or expires_in <= 0
    ):
        raise InvalidRequestError(
            f"expires_in is {expires_in!r}: use a positive number of steps or leave it out",
            "expires_in",
        )
    return float(expires_in)


def check_residency(residency: Residency) -> None:
    """Check that a residency message holds one row a key.

    Raises:
        InvalidRequestError: An array has another type, shape or length.
    """
    keys = check_keys(residency.keys, "residency.keys")
    for field in ("device_bytes", "host_bytes", "storage_bytes", "total_bytes"):
        column = check_keys(getattr(residency, field), f"residency.{field}")
        _check_length(column, f"residency.{field}", keys.size)
    in_use = _check_array(residency.in_use, "residency.in_use", np.dtype(np.bool_))
    _check_length(in_use, "residency.in_use", keys.size)


def _check_array(value: object, field: str, dtype: np.dtype[np.generic]) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != 1:
        found = (
            f"a {value.ndim}-dimensional {value.dtype} array"
            if isinstance(value, np.ndarray)
            else f"a {type(value).__name__}"
        )
        raise InvalidRequestError(
            f"{field} is {found}: send a one-dimensional {dtype} array", field
        )
    return value


def _check_length(array: NDArray[Any], field: str, length: int) -> None:
    if array.size != length:
        raise InvalidRequestError(
            f"{field} has {array.size} rows for {length} keys: send one row a key", field
        )
