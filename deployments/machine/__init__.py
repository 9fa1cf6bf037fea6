"""What the machine, or the container, has: memory, GPUs, shared memory, disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.machine.gpus import Gpu, visible_gpus
from scalesim.deployments.machine.memory import Memory, read_memory

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, never written


class Machine(NamedTuple):
    """What engines may use.

    Attributes:
        memory: Memory of the machine or the container.
        gpus: Those this process sees; none where there is none, or where no driver answers.
        shared_bytes: Free in /dev/shm.
    """

    memory: Memory
    gpus: tuple[Gpu, ...]
    shared_bytes: int


def look() -> Machine:
    """Return the machine's present state."""
    shared = shutil.disk_usage(_SHARED_MEMORY).free if _SHARED_MEMORY.is_dir() else 0
    return Machine(read_memory(), visible_gpus(), shared)


def disk_bytes(folder: Path) -> int:
    """Return what a folder may hold: what is free on its disk, and what is in the folder already.

    Raises:
        OSError: Neither the folder nor its parents can be read.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    held = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # whoever shares the folder may have deleted it
                held += os.stat(os.path.join(place, name)).st_size
    return shutil.disk_usage(there).free + held
