"""What an agent of a World may remember, show and tell: JSON-like values, as msgpack."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np


def packed(value: Any) -> bytes:
    """Return a value as msgpack; replies of a model are text, numpy's numbers are numbers.

    Raises:
        ValueError: It is none of dicts with text keys, lists, text, numbers, True, False and None;
            says what it is instead.
    """
    try:
        return msgspec.msgpack.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{error}: use dicts, lists, text, numbers, True, False and None"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written down")
