"""Builds SGLang's just-in-time kernels for the shapes of this folder, all at once.

Built when first called they would be built one after the other, inside of what is timed: 20 to 45 s
of a core each. SGLang keeps them (`SGLANG_JIT_CACHE_DIR`) for all engines that start afterwards.

Run: python -m benchmarks.gpu.kernel_builds
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu import portable
from benchmarks.gpu.shapes import SHAPES
from scalesim.deployments import random_model
from scalesim.deployments.engine.boot import HAS_GPU


def builds() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the name of each kernel and what builds it."""
    portable.install()
    from sglang.kernels.ops.activation.activation import activation_module
    from sglang.kernels.ops.attention.clamp_position import _jit_clamp_position_module
    from sglang.kernels.ops.attention.rope import _jit_fused_rope_module
    from sglang.kernels.ops.kvcache.hicache import _jit_hicache_tma_module
    from sglang.kernels.ops.kvcache.kvcache import _jit_kvcache_module

    wide, llama = random_model.SHAPES["wide"], SHAPES["llama-3.1-8b"]
    yield "clamp_position", partial(_jit_clamp_position_module, torch.int64)
    yield "hicache_tma", partial(_jit_hicache_tma_module, block_quota=4)
    for dtype, heads, width in (
        (torch.float16, wide.kv_heads, wide.head_dim),
        (torch.bfloat16, llama["num_key_value_heads"], llama["head_dim"]),
    ):
        row = heads * width * dtype.itemsize
        yield f"activation {dtype}", partial(activation_module, dtype)
        yield f"rope {dtype}", partial(_jit_fused_rope_module, True, width, dtype, dtype)
        yield f"kvcache {row}", partial(_jit_kvcache_module, row, row, 0)


def main() -> None:
    """Build everything; a kernel that cannot be built is named, and built or refused when used."""
    if not HAS_GPU:
        return
    from sglang.kernels.jit.utils import parallel_compile

    begin = time.monotonic()
    parallel_compile([partial(_built, name, build, begin) for name, build in builds()])


def _built(name: str, build: Callable[[], Any], begin: float) -> None:
    try:
        build()
    except Exception as fault:
        print(f"{name}: not built: {str(fault)[-800:]}", flush=True)
    else:
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
