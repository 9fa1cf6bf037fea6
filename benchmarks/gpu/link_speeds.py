"""Bytes a second between host and device, by block size, without an engine."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

REPEATS = 5
_BATCH = 16
"""Copies in flight before time is taken."""


def copies(block_bytes: int) -> dict[str, float]:
    """Return GB/s of pinned copies of one block size: in, out, and both at once in total.

    On a machine without a GPU both sides are host memory.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    blocks = [torch.empty(block_bytes, dtype=torch.uint8, pin_memory=cuda) for _ in range(2)]
    on_device = [torch.empty(block_bytes, dtype=torch.uint8, device=device) for _ in range(2)]
    ways = {
        "host_to_device": [(on_device[0], blocks[0])],
        "device_to_host": [(blocks[1], on_device[1])],
    }
    ways["both"] = [*ways["host_to_device"], *ways["device_to_host"]]
    return {name: _rate(pairs, block_bytes, cuda) for name, pairs in ways.items()}


def _rate(pairs: list[tuple[torch.Tensor, torch.Tensor]], block_bytes: int, cuda: bool) -> float:
    streams = [torch.cuda.Stream() if cuda else None for _ in pairs]
    seconds = []
    for _ in range(REPEATS + 1):  # the first warms up
        _finish(cuda)
        begin = time.perf_counter()
        for (target, source), stream in zip(pairs, streams, strict=True):
            with torch.cuda.stream(stream):  # does nothing where there is none
                for _ in range(_BATCH):
                    target.copy_(source, non_blocking=True)
        _finish(cuda)
        seconds.append(time.perf_counter() - begin)
    return round(len(pairs) * _BATCH * block_bytes / median(seconds[1:]) / 1e9, 2)


def _finish(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()


def storage_bytes_per_s(size: int, folder: Path) -> float:
    """Return the rate of reading a file back that is no longer in the page cache."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.perf_counter()
        file.seek(0)
        while file.read(2**22):
            pass
        return size / (time.perf_counter() - begin)


def by_block(largest_bytes: int) -> dict[str, Any]:
    """Return `copies` for blocks of 64 KiB up to a size, fourfold each time."""
    sizes = [2**16 * 4**power for power in range(12) if 2**16 * 4**power <= largest_bytes]
    return {f"{size // 1024} KiB": copies(size) for size in sizes}
