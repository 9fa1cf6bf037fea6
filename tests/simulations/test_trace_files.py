"""Files as people have them: any line ends, marks, compression, damage."""

import gzip
from pathlib import Path

import pytest

from scalesim.errors import InvalidRequestError
from scalesim.simulations.trace.trace_files import read_lines

LINES = ["first", "w\u00f6rld", "last"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_any_line_ends_marks_and_gzip(
    tmp_path: Path, end: str, encoding: str, packed: bool
) -> None:
    data = end.join(LINES).encode(encoding)
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert list(read_lines(path)) == LINES


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "trace").touch()
    assert list(read_lines(tmp_path / "trace")) == []


@pytest.mark.parametrize("kind", ["cut", "damaged", "binary", "absent", "folder"])
def test_what_cannot_be_read_says_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trace"
    packed = gzip.compress(b"line\n" * 10_000)
    files = {
        "cut": packed[: len(packed) // 2],
        "damaged": packed[:12] + bytes(20) + packed[32:],
        "binary": b"line\n\xff\xfe\xfd",
    }
    if kind in files:
        path.write_bytes(files[kind])
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(InvalidRequestError, match="cannot be read") as caught:
        list(read_lines(path))
    assert caught.value.field == "trace"


def test_lines_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(b"good\n" * 100_000 + b"\xff")
    lines = read_lines(path)
    assert [next(lines) for _ in range(3)] == ["good"] * 3
    lines.close()  # type: ignore[attr-defined]
