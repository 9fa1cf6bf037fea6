"""A page in a file: a header, then the bytes as they are in memory.

The checksum covers the page's name too, so a file under a wrong name is not a page either.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

_HEADER = struct.Struct("<4sIQ")
_MAGIC = b"SSP1"

DRAFT = ".draft"
"""Suffix of files being written."""


def write(path: Path, name: str, data: memoryview) -> int:
    """Write a page whole or not at all and return the bytes of its file.

    Raises:
        OSError: The disk is full, fails, or the folder is gone; no file of that name is left behind
            where it can be helped.
    """
    draft = path.with_suffix(f".{os.getpid()}{DRAFT}")
    try:
        with draft.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, _checksum(name, data), data.nbytes))
            file.write(data)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
    return _HEADER.size + data.nbytes


def read(path: Path, name: str, into: memoryview) -> bool:
    """Fill `into` with a page; False where the file is missing, cut short, longer or damaged.

    What `into` holds after False is undefined.

    Raises:
        OSError: It is there, or may be, but cannot be read.
    """
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return False
    with file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        magic, checksum, length = _HEADER.unpack(header)
        if magic != _MAGIC or length != into.nbytes or file.readinto(into) != length:
            return False
        return not file.read(1) and checksum == _checksum(name, into)


def _checksum(name: str, data: memoryview) -> int:
    return zlib.crc32(data, zlib.crc32(name.encode()))
