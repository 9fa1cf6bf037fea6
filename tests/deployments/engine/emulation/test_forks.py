"""What is done in a fork ends there."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from scalesim.deployments.engine.emulation.forks import in_fork, in_forks


def test_work_is_returned_and_what_it_raises_is_said() -> None:
    def fail() -> dict[str, Any]:
        raise KeyError("rows")

    assert in_fork(lambda: {"rows": 3}, 60.0) == {"rows": 3}
    assert in_fork(fail, 60.0)["fault"] == "KeyError: 'rows'"


def test_a_result_that_cannot_be_sent_is_a_fault_and_the_child_never_goes_on(
    tmp_path: Path,
) -> None:
    parent = os.getpid()
    try:
        found = in_fork(lambda: {"rows": object()}, 60.0)
    finally:
        if os.getpid() != parent:
            (tmp_path / "went on").touch()
            os._exit(1)
    assert "TypeError" in found["fault"]
    assert not list(tmp_path.iterdir())


def test_a_child_that_does_not_end_is_ended() -> None:
    assert "did not end" in in_fork(lambda: signal.pause() or {}, 0.0)["fault"]


def test_several_at_a_time_come_in_their_order(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    os.mkfifo(seen)

    def wait_for_the_other() -> dict[str, Any]:
        return {"other": seen.read_text()}

    def be_seen() -> dict[str, Any]:
        return {"wrote": seen.write_text("2")}

    works = [wait_for_the_other, be_seen, lambda: {"third": 3}]
    assert list(in_forks(works, 2, 60.0)) == [{"other": "2"}, {"wrote": 1}, {"third": 3}]
