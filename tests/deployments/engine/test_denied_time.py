"""For how long processes are kept from running, as Linux tells it."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from scalesim.deployments.engine.denied_time import PROC, DeniedTime

BYTES = bytes(2**20)


def _write(proc: Path, task: str, delay_ns: int) -> None:
    folder = proc / task
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedstat").write_text(f"5000000000 {delay_ns} 7\n")


def test_it_is_that_of_the_thread_which_was_denied_most_since_it_was_made(tmp_path: Path) -> None:
    _write(tmp_path, "1/task/1", 10**10)
    _write(tmp_path, "2/task/2", 0)
    _write(tmp_path, "3/task/3", 0)
    denied = DeniedTime([1, 2], tmp_path)
    assert denied.seconds() == 0.0
    _write(tmp_path, "1/task/1", 11 * 10**9)
    _write(tmp_path, "2/task/21", 3 * 10**9)
    _write(tmp_path, "3/task/3", 9 * 10**9)
    assert denied.seconds() == 3.0


def test_processes_that_are_gone_or_say_nothing_are_denied_nothing(tmp_path: Path) -> None:
    (tmp_path / "1" / "task" / "1").mkdir(parents=True)
    assert DeniedTime([1, 2], tmp_path).seconds() == 0.0


@pytest.mark.skipif(not (PROC / "self" / "schedstat").exists(), reason="Linux tells no waits here")
def test_threads_that_share_a_processor_wait_for_it() -> None:
    """Two on one processor: whoever does not have it waits."""
    allowed = os.sched_getaffinity(0)
    denied = DeniedTime([os.getpid()])
    waited = threading.Event()

    def spin() -> None:
        while not waited.is_set():
            hashlib.sha256(BYTES)  # without the interpreter's lock

    os.sched_setaffinity(0, {min(allowed)})  # of the threads that are made now, too
    try:
        threads = [threading.Thread(target=spin) for _ in range(2)]
        for thread in threads:
            thread.start()
        while denied.seconds() < 0.01:
            pass
    finally:
        waited.set()
        os.sched_setaffinity(0, allowed)
    for thread in threads:
        thread.join()
