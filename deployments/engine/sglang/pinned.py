"""Host memory that a GPU copies from without a detour: exactly as much as asked for.

Torch's own pinned allocator rounds every block up to a power of two and keeps what it had.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import torch

from scalesim.deployments.engine.boot import HAS_GPU

ALIGNMENT = 64
"""Bytes; a tensor of any type may begin there."""


class _Pinned(mmap.mmap):
    """Pages that are page-locked until the last tensor over them is gone."""

    pointer = 0

    def __del__(self) -> None:
        if self.pointer:
            torch.cuda.cudart().cudaHostUnregister(self.pointer)


def pinned(size: int, file: int = -1) -> torch.Tensor:
    """Return bytes of pinned memory; only pages where there is no GPU.

    Args:
        size: How many.
        file: Descriptor of memory that other processes map too; -1 for one's own.

    Raises:
        RuntimeError: They cannot be page-locked.
    """
    shared = mmap.MAP_SHARED if file >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    pages = _Pinned(file, max(1, size), flags=shared)
    data: torch.Tensor = torch.frombuffer(pages, dtype=torch.uint8, count=max(1, size))[:size]
    if HAS_GPU:
        fault: Any = torch.cuda.cudart().cudaHostRegister(data.data_ptr(), size, 0)
        if int(fault):
            raise RuntimeError(
                f"{size} bytes of host memory cannot be page-locked ({fault}): expected free "
                "memory; lower engine.models.host_bytes or engine.adapters.loaded"
            )
        pages.pointer = data.data_ptr()
    return data


def exactly_pinned(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return copies of tensors in one block, which lives until the last of them is gone."""
    sizes = [math.ceil(tensor.nbytes / ALIGNMENT) * ALIGNMENT for tensor in tensors]
    block, start = pinned(sum(sizes)), 0
    copies = []
    for tensor, size in zip(tensors, sizes, strict=True):
        copy = block[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        copy.copy_(tensor)
        copies.append(copy)
        start += size
    return copies
