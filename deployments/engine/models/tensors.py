"""Safetensors files: what they say they hold, and their data read into given memory.

Files are read, never mapped: one that is cut short or replaced meanwhile is an error, not a fault
of the process. Format: 8 bytes of header length, a JSON header, the data.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from scalesim.errors import InvalidRequestError

_BITS = {
    **{"F64": 64, "I64": 64, "F32": 32, "I32": 32, "F16": 16, "BF16": 16, "I16": 16},
    **{"I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8},
}

_MAX_HEADER_BYTES = 2**27


class TensorEntry(NamedTuple):
    """One tensor of a file.

    Attributes:
        dtype: In the format's own names, e.g. `BF16`.
        shape: As saved.
        begin: Offset of its first byte in the file's data.
        end: Offset after its last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file holds.

    Attributes:
        entries: Tensors by name.
        start: Offset of the data in the file.
        data_bytes: Length of the data.
    """

    entries: dict[str, TensorEntry]
    start: int
    data_bytes: int


def header(file: Path) -> Header:
    """Return what a file holds, after checking that it is whole and that nothing overlaps.

    Raises:
        InvalidRequestError: It is not a safetensors file, or not whole.
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= _MAX_HEADER_BYTES:
            raise _broken(file, "has no header")
        text = stream.read(length)
        data_bytes = stream.seek(0, 2) - 8 - length
    try:
        described: dict[str, Any] = json.loads(text)
        described.pop("__metadata__", None)
        entries = {name: _entry(header) for name, header in described.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _broken(file, "has a header that cannot be read") from None
    end = 0
    for entry in sorted(entries.values(), key=lambda entry: entry.begin):
        bits = _BITS.get(entry.dtype, 0) * math.prod(entry.shape)
        if entry.begin != end or 8 * (entry.end - entry.begin) != bits:
            raise _broken(file, "has tensors that do not follow each other")
        end = entry.end
    if end != data_bytes:
        raise _broken(file, f"has {data_bytes} bytes of data where its header says {end}")
    return Header(entries, 8 + length, data_bytes)


def read_into(memory: memoryview, file: Path, known: Header) -> None:
    """Fill memory of `known.data_bytes` bytes with the data of a file.

    Raises:
        InvalidRequestError: It became shorter since its header was read.
        OSError: It cannot be read.
    """
    done = 0
    with file.open("rb", buffering=0) as stream:
        stream.seek(known.start)
        while done < known.data_bytes:
            got = stream.readinto(memory[done:])
            if not got:
                raise _broken(file, "became shorter while it was read")
            done += got


def _entry(header: dict[str, Any]) -> TensorEntry:
    begin, end = header["data_offsets"]
    shape = tuple(header["shape"])
    if not all(isinstance(value, int) and value >= 0 for value in (begin, end, *shape)):
        raise ValueError
    return TensorEntry(str(header["dtype"]), shape, begin, end)


def _broken(file: Path, fault: str) -> InvalidRequestError:
    return InvalidRequestError(f"{file.name} {fault}: save the model as safetensors again", "model")
