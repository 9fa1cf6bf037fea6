"""What an agent of a World may remember, show and tell: JSON-like values, as msgpack."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np


def packed(value: Any) -> bytes:
    """Return a value as msgpack; replies of a model are text, numpy's numbers are numbers.

    Raises:
        ValueError: It is made of more than dicts with text keys, lists, text, numbers, True, False
            and None; says of what.
    """
    try:
        _check_order(value)
        return msgspec.msgpack.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{error}: use dicts, lists, text, numbers, True, False and None"
        ) from None


def _check_order(value: Any) -> None:
    """Raise TypeError at a set: its order differs from process to process, and the text with it."""
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, set | frozenset):
        raise TypeError(f"a {type(value).__name__} cannot be written down: it has no order")
    elif not isinstance(value, list | tuple):
        return
    for each in value:
        if not isinstance(each, str | float | int):
            _check_order(each)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written down")
