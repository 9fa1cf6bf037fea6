"""What SGLang lacks on a machine without a GPU; never imported on one with.

Five gaps are filled: `sgl_kernel` has no CPU wheel, torchvision's wheel registers its operators
from a CUDA library, and HiCache pins memory, copies layers through CUDA-only functions and leaves
more memory free than a small machine has.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from scalesim.deployments.engine.sglang import pool_rows

NICENESS = 10
"""Niceness of an engine that computes on processors: a tenth of the share of processes that have
none."""

BELOW_OTHERS = 4
"""How much nicer an engine is than what starts it: Ray gives its own processes 15."""


def install() -> None:
    """Make `import sglang` work in this process; call before it is imported. Idempotent."""
    if any(isinstance(finder, _ShimFinder) for finder in sys.meta_path):
        return
    # SGLang asks for this name before anything of ours can configure it.
    os.environ.setdefault("SGLANG_USE_CPU_ENGINE", "1")
    sys.meta_path.insert(0, _ShimFinder())


def patch_host_tier(copy: Callable[[pool_rows.RowCopies], None] = pool_rows.copy_now) -> None:
    """Give HiCache and LoRA their host copies without CUDA. Call in the scheduler process.

    Args:
        copy: Makes the copies of HiCache.
    """
    import torch
    from sglang.srt.mem_cache.pool_host import base, common, mha

    common._cuda_host_register = lambda buffer, granularity=None: None
    pool_rows.patch(mha.MHATokenToKVPoolHost, copy)
    # 10 GiB otherwise; what stays free was decided before the start.
    base.HICACHE_HOST_MEMORY_RESERVE_BYTES = 0
    for name in ("tensor", "empty", "zeros", "ones", "full"):
        setattr(torch, name, _without_pinning(getattr(torch, name)))
    torch.Tensor.pin_memory = lambda self, *a, **k: self


def give_way() -> None:
    """Let the stack's other parts go first on this machine's processors.

    They compute little, and everything waits for it: a controller that starts again beside two busy
    engines is back in half the time. Call it in the scheduler process.
    """
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(own + BELOW_OTHERS, NICENESS))


def share_processors(ranks: int) -> None:
    """Deal the processors to the ranks of an engine, where nothing has said whose they are.

    SGLang gives each rank a NUMA node, and ends where there are fewer of these than ranks. Call it
    in the scheduler process, before SGLang binds its threads.
    """
    if ranks == 1:
        return
    here = sorted(os.sched_getaffinity(0))
    shares = (here[rank::ranks] or here for rank in range(ranks))
    bind = "|".join(",".join(map(str, share)) for share in shares)
    os.environ.setdefault("SGLANG_CPU_OMP_THREADS_BIND", bind)


def _without_pinning(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("pin_memory", None)
        return function(*args, **kwargs)

    return call


class _ShimFinder(MetaPathFinder):
    """Serves the `sgl_kernel` stand-in and declares torchvision's operators before its import."""

    def __init__(self) -> None:
        self._torchvision_seen = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == "torchvision" and not self._torchvision_seen:
            self._torchvision_seen = True
            import torch

            # A torch with CUDA loads that library on a machine without a GPU too.
            for op in ("nms", "qnms") if torch.version.cuda is None else ():
                torch.library.define(
                    f"torchvision::{op}",
                    "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                )
        if name == "sgl_kernel":
            # Not a package: SGLang has fallbacks where a submodule cannot be imported.
            return ModuleSpec(name, _StubLoader())
        return None


class _StubLoader(Loader):
    """Any name of `sgl_kernel` imports; calling it says what is missing."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _KernelStub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


class _KernelStub(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(
                f"{self.__name__}.{name} is a CUDA kernel: this engine runs on a CPU"
            )

        return missing
