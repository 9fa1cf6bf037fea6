"""What is known of a process that ended without stopping what it had started.

Ray ends the process that started it where one of Ray's own is gone, and says so in its logs only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LOGS = ("python-core-driver-*.log", "raylet.*", "gcs_server.*")
_SERIOUS = re.compile(r"^\[.*? [EC] \d+ \d+\] |Traceback|FATAL|terminate called|Check failed")
_ADDRESS = "@     0x"  # a line of a stack that tells nothing
_LINES = 3  # of each log
_CHARACTERS = 300  # of each line


def sentence(owner: int, folder: Path) -> str:
    """Return who is gone, and what Ray logged last.

    Args:
        owner: Process id.
        folder: Its run folder.
    """
    lines = [
        f"scalesim: process {owner} ended without stopping what it had started: it was killed, is "
        "out of memory, or Ray gave up; its processes are ended and its files removed"
    ]
    return "\n  ".join([*lines, *_last_errors(folder)])


def _last_errors(folder: Path) -> Iterator[str]:
    for pattern in _LOGS:
        for log in sorted(folder.glob(f"ray/session_2*/logs/{pattern}")):
            with suppress(OSError):
                lines = log.read_text("utf-8", "replace").splitlines()
                serious = [
                    line[:_CHARACTERS]
                    for line in lines
                    if _SERIOUS.search(line) and _ADDRESS not in line
                ]
                yield from (f"{log.name}: {line}" for line in serious[-_LINES:])
