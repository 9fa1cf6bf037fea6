"""Facts of the GPU that SGLang asks its kernels for."""

from sglang.kernels.jit.utils import is_arch_support_pdl

__all__ = ["is_arch_support_pdl"]
