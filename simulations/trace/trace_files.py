"""Files of traces: plain or gzip, whatever wrote them, read line by line."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from scalesim.errors import InvalidRequestError

_GZIP = b"\x1f\x8b"
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their ends, whichever they are.

    Files in gzip are recognised by their first bytes, so are UTF-16 and a byte order mark.

    Raises:
        InvalidRequestError: The file cannot be read to its end; names the last line that could.
    """
    place = 0
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == _GZIP
            data = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
            with io.TextIOWrapper(data, _encoding(data)) as lines:
                for place, line in enumerate(lines, 1):  # noqa: B007 - named in the error
                    yield line.rstrip("\n")
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        after = f" after line {place}" if place else ""
        raise InvalidRequestError(
            f"the trace {str(path)!r} cannot be read{after} ({error}): give a file of JSON lines "
            "with `step` and `agent`, plain or in gzip, as `scalesim trace` writes them",
            "trace",
        ) from None


def _encoding(data: IO[bytes]) -> str:
    head = cast(io.BufferedReader, data).peek(3)[:3]
    return next((name for mark, name in _ENCODINGS.items() if head.startswith(mark)), "utf-8")
