"""Memory that work touches, by name."""

from __future__ import annotations

import torch

DEVICE_KV = "KV pages on the device"
HOST_KV = "KV pages in host memory"
WEIGHTS = "the model's weights"


def slot(number: int) -> str:
    """Return the name of an adapter's slot."""
    return f"adapter slot {number}"


def pages(rows: torch.Tensor, page_size: int) -> frozenset[int]:
    """Return the pages that rows are in."""
    return frozenset((rows // page_size).unique().tolist())
