"""A scheduler that crashes is dead at once."""

from __future__ import annotations

import signal
import subprocess
import sys

CRASH = """
import faulthandler, os, signal
import tvm_ffi
from scalesim.deployments.engine.crash_report import end_at_once
faulthandler.enable()
{mend}
os.kill(os.getpid(), signal.SIGSEGV)
"""


def crash(mend: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CRASH.format(mend=mend)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_segmentation_fault_is_not_traced_through_c() -> None:
    slow = crash(mend="")
    assert "Segfault encountered" in slow.stderr  # else there is nothing to mend any more
    fast = crash(mend="end_at_once()")
    assert slow.returncode == fast.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in fast.stderr
    assert "Segfault encountered" not in fast.stderr
