"""What SGLang asks of its fused gate and up product where the compiler it needs is not installed.

It is for a later generation of GPUs than Hopper: SGLang asks for it on every one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

MAX_DUAL_GEMM_DECODE_TOKENS = 0


class DualGemmQuantMode(IntEnum):
    """Names of its modes; none can be used."""

    STATIC_PER_TENSOR = 0
    DYNAMIC_PER_TOKEN = 3
    UNQUANT = 4


def can_use_dual_gemm(*shape: Any) -> bool:
    """Return False."""
    return False
