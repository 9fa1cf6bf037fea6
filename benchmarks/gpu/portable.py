"""Lets SGLang run on a GPU machine that lacks its compiled kernels; the same for every arm.

Where `sgl_kernel` is not installed a stand-in takes its place (folder `stand_in`): the few kernels
that a Llama needs come from torch and Triton, the others stay SGLang's own just-in-time ones.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scalesim.deployments.engine.boot import HAS_GPU

_STAND_IN = str(Path(__file__).parent / "stand_in")

_ARGS = {
    "attention_backend": "triton",
    "sampling_backend": "pytorch",
    "grammar_backend": "none",
    "disable_prefill_cuda_graph": True,
    "hicache_io_backend": "kernel",
    "hicache_mem_layout": "layer_first",
}


def install() -> dict[str, Any]:
    """Return the engine arguments this machine needs; call before SGLang is imported.

    Engine processes inherit what is installed here.
    """
    if not needed():
        return {}
    if _STAND_IN not in sys.path:
        sys.path.append(_STAND_IN)
    os.environ["SGLANG_SKIP_SGL_KERNEL_VERSION_CHECK"] = "1"
    # SGLang's tree core in Rust is built for the torch that its kernels are built for.
    os.environ["SGLANG_UNIFIED_RADIX_TREE_CORE_BACKEND"] = "python"
    return dict(_ARGS)


def needed() -> bool:
    """Return whether there is a GPU but no `sgl_kernel` of its own."""
    if not HAS_GPU:
        return False
    found = find_spec("sgl_kernel")
    return found is None or str(found.origin).startswith(_STAND_IN)


def kernels() -> str:
    """Return what the figures must say about kernels."""
    if not HAS_GPU:
        return "CPU: torch operators; copies are synchronous"
    if not needed():
        return "SGLang's own"
    return (
        "stand-in: no sgl_kernel here; attention by Triton, other kernels just in time or by "
        "torch, the cache's tree core in Python, in every arm alike"
    )
