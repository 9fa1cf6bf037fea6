"""Frames between a replica and the scheduler process of its engine: msgpack, never pickle.

Down go `Directives`; up come `Hello` once, then `Residency` and `TransferStats`. Arrays travel as
raw little-endian bytes under one extension code a dtype.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from scalesim.errors import InvalidRequestError
from scalesim.vocabulary import Budgets, Directives, DistanceUpdate, Moves, Residency, TransferStats

_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<i8"),
    2: np.dtype("<f4"),
    3: np.dtype("u1"),
    4: np.dtype("?"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class Hello(NamedTuple):
    """First frame of a scheduler that passed its self-check.

    Attributes:
        kinds: Payload kinds it can move.
        budgets: Bytes its tiers can hold of each of `kinds`.
        bytes_per_token: KV bytes of one token over all layers.
    """

    kinds: tuple[str, ...]
    budgets: tuple[Budgets, ...]
    bytes_per_token: int


Message = Hello | TransferStats | Residency | Directives


def encode(message: Message) -> bytes:
    """Return the frame of a message."""
    return msgspec.msgpack.encode((type(message).__name__, message), enc_hook=_pack_array)


def decode(frame: bytes) -> Message:
    """Return the message of a frame; its arrays are read-only views of the frame.

    Raises:
        InvalidRequestError: The frame is not one of ours.
    """
    try:
        name, fields = msgspec.msgpack.decode(frame, ext_hook=_unpack_array)
        message: Message = _BUILDERS[name](fields)
        return message
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"a frame of {len(frame)} bytes is not a message of this version ({error}): "
            "run replica and engine from the same installation",
            "frame",
        ) from None


def _pack_array(value: Any) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"cannot send a {type(value).__name__}")
    return msgspec.msgpack.Ext(_CODES[value.dtype], np.ascontiguousarray(value).tobytes())


def _unpack_array(code: int, data: memoryview) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, dtype=_DTYPES[code])


def _directives(fields: list[Any]) -> Directives:
    incarnation, sequence, resync, updates, moves = fields
    return Directives(
        int(incarnation),
        int(sequence),
        bool(resync),
        tuple(DistanceUpdate(*_aligned(row)) for row in updates),
        tuple(Moves(*_aligned(row)) for row in moves),
    )


def _aligned(row: list[Any]) -> list[Any]:
    lengths = {len(column) for column in row[1:]}
    if len(lengths) != 1:
        raise ValueError(f"columns of {row[0]} differ in length: {sorted(lengths)}")
    return row


_BUILDERS: dict[str, Any] = {
    "Directives": _directives,
    "Residency": lambda fields: Residency(*_aligned(fields)),
    "TransferStats": lambda fields: TransferStats(*fields),
    "Hello": lambda fields: Hello(
        tuple(fields[0]), tuple(Budgets(*row) for row in fields[1]), int(fields[2])
    ),
}
