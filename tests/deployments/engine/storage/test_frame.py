from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalesim.deployments.engine.storage import frame

DATA = bytes(range(200))


def written(folder: Path) -> Path:
    path = folder / "a.page"
    frame.write(path, "a", memoryview(DATA))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    into = bytearray(len(DATA))
    assert frame.read(written(tmp_path), "a", memoryview(into))
    assert bytes(into) == DATA
    assert [file.name for file in tmp_path.iterdir()] == ["a.page"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(at=st.integers(0, len(DATA) + 15), bit=st.integers(0, 7))
def test_any_flipped_bit_is_a_miss(tmp_path: Path, at: int, bit: int) -> None:
    path = written(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)
    assert not frame.read(path, "a", memoryview(bytearray(len(DATA))))


@pytest.mark.parametrize("length", [0, 3, 16, 100, len(DATA) + 15])
def test_a_file_cut_short_is_a_miss(tmp_path: Path, length: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert not frame.read(path, "a", memoryview(bytearray(len(DATA))))


def test_a_longer_file_another_name_and_another_size_are_misses(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert not frame.read(path, "b", memoryview(bytearray(len(DATA))))
    assert not frame.read(path, "a", memoryview(bytearray(len(DATA) - 1)))
    path.write_bytes(path.read_bytes() + b"x")
    assert not frame.read(path, "a", memoryview(bytearray(len(DATA))))


def test_a_missing_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        frame.write(tmp_path / "gone" / "a.page", "a", memoryview(DATA))
    assert not frame.read(tmp_path / "gone" / "a.page", "a", memoryview(bytearray(1)))
