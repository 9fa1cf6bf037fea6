"""Stand-in for SGLang's compiled kernels: what a Llama on one GPU calls, and names for the rest.

Found only where the real package is not installed; see `benchmarks.gpu.portable`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch


class Missing:
    """A kernel that has no stand-in: any use but naming it raises."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError."""
        raise NotImplementedError(
            f"{self._name} has no stand-in: install sglang-kernel, or serve a plain Llama"
        )


def __getattr__(name: str) -> Missing:
    if name.startswith("__"):
        raise AttributeError(name)
    return Missing(f"sgl_kernel.{name}")


def rmsnorm(
    input: torch.Tensor, weight: torch.Tensor, eps: float = 1e-6, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the root-mean-square norm over the last axis."""
    scaled = torch.nn.functional.rms_norm(input, weight.shape, weight, eps)
    return scaled if out is None else out.copy_(scaled)


def fused_add_rmsnorm(
    input: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float = 1e-6
) -> None:
    """Add `input` to `residual` in place and leave its norm in `input`."""
    residual.add_(input)
    rmsnorm(residual, weight, eps, out=input)


def silu_and_mul(input: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Write SiLU of the first half of the last axis times the second half."""
    gate, up = input.chunk(2, dim=-1)
    return torch.mul(torch.nn.functional.silu(gate), up, out=out)


def weak_ref_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor itself: it is kept alive, which costs memory and nothing else."""
    return tensor


class _Submodules(MetaPathFinder, Loader):
    """Lets any `sgl_kernel.NAME` be imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if not name.startswith(f"{__name__}.") or PathFinder.find_spec(name, path):
            return None
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Names(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


class _Names(ModuleType):
    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}")


sys.meta_path.append(_Submodules())

if find_spec("cutlass") is None:
    sys.modules["sglang.kernels.ops.gemm.cutedsl_dual_gemm"] = import_module("sgl_kernel.dual_gemm")
