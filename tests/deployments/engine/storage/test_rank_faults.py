"""Faults of the storage of ranks that do not speak to the replica."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from scalesim.deployments.engine.storage.disk import RETRY_S, Disk
from scalesim.deployments.engine.storage.folder import PageFolder
from scalesim.deployments.engine.storage.rank_faults import RankFaults


def test_the_first_rank_reads_what_another_process_says(tmp_path: Path) -> None:
    first = RankFaults(tmp_path / "faults", 0, 3)
    assert first.first() == ""
    program = f"""
from pathlib import Path
from scalesim.deployments.engine.storage.rank_faults import RankFaults
RankFaults(Path({str(tmp_path / "faults")!r}), 2, 3).report("/disk: Input/output error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert first.first() == "rank 2: /disk: Input/output error"
    first.report("/disk: Stale file handle")
    assert first.first() == "rank 0: /disk: Stale file handle"
    first.report("")
    RankFaults(tmp_path / "faults", 2, 3).report("")
    assert first.first() == ""


@pytest.mark.parametrize("fault", ["x" * 5000, "é" * 200])
def test_a_long_line_is_cut_and_touches_no_other(tmp_path: Path, fault: str) -> None:
    lines = [RankFaults(tmp_path / "faults", rank, 2) for rank in range(2)]
    lines[0].report(fault)
    assert lines[1].first().startswith(f"rank 0: {fault[:100]}")
    lines[0].report("")
    assert lines[1].first() == ""


def test_a_disk_that_fails_and_works_again_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, now = RankFaults(tmp_path / "faults", 0, 1), [0.0]
    disk = Disk(tmp_path / "pages", lambda: now[0], faults.report)
    folder = PageFolder(tmp_path / "pages", 1000, disk)
    with monkeypatch.context() as broken:
        failing = OSError(errno.EIO, "Input/output error")
        broken.setattr(
            "scalesim.deployments.engine.storage.frame.write",
            lambda *args: (_ for _ in ()).throw(failing),
        )
        assert not folder.put("a", memoryview(b"data"))
    assert faults.first() == f"{tmp_path / 'pages'}: Input/output error"
    now[0] += RETRY_S
    assert folder.put("a", memoryview(b"data"))
    assert faults.first() == ""
