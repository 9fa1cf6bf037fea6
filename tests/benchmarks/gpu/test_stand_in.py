"""The stand-in for SGLang's compiled kernels, in Triton's interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.sources import ROOT

pytest.importorskip("triton", reason="Triton comes with the engine")
STAND_IN = ROOT / "benchmarks" / "gpu" / "stand_in"

# In a process of its own: Triton reads its switch as it is imported, and `sgl_kernel` stays unknown
# to the others.
SCRIPT = """
import sys
import sgl_kernel, torch
from sgl_kernel import flash_attn
from sgl_kernel.kvcacheio import transfer_kv_all_layer, transfer_kv_per_layer

fused = sys.modules["sglang.kernels.ops.gemm.cutedsl_dual_gemm"]
assert fused.can_use_dual_gemm(16, 4096, 14336, fused.DualGemmQuantMode.UNQUANT) is False

LAYERS, ROWS, WIDTH = 3, 10, 6
k, v = torch.randn(2, LAYERS, ROWS, WIDTH)
into_k, into_v = torch.zeros(2, LAYERS, ROWS, WIDTH)
source, target = torch.tensor([1, 3, 5]), torch.tensor([0, 9, 2])
transfer_kv_per_layer(k[1], into_k[1], v[1], into_v[1], source, target, 4 * WIDTH)
assert torch.equal(into_k[1][target], k[1][source])
assert torch.equal(into_v[1][target], v[1][source])
assert not into_k[0].any() and not into_k[1][[1, 3]].any()

table = lambda pool: torch.tensor([layer.data_ptr() for layer in pool], dtype=torch.uint64)
transfer_kv_all_layer(
    *map(table, (k, into_k, v, into_v)), source, target, 4 * WIDTH, LAYERS
)
assert torch.equal(into_k[:, target], k[:, source]) and torch.equal(into_v[:, target], v[:, source])

x, residual, weight = torch.randn(4, 64), torch.randn(4, 64), torch.randn(64)
total = x + residual
sgl_kernel.fused_add_rmsnorm(x, residual, weight, 1e-6)
assert torch.equal(residual, total)
expected = total * torch.rsqrt(total.pow(2).mean(-1, keepdim=True) + 1e-6) * weight
assert torch.allclose(x, expected, atol=1e-5)

out = torch.empty(4, 32)
sgl_kernel.silu_and_mul(total, out)
assert torch.allclose(out, torch.nn.functional.silu(total[:, :32]) * total[:, 32:])

try:
    flash_attn.flash_attn_varlen_func(1)
except NotImplementedError as error:
    print(error)
"""


@pytest.mark.slow
def test_rows_norms_and_names() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"TRITON_INTERPRET": "1", "PYTHONPATH": str(STAND_IN)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sgl_kernel.flash_attn.flash_attn_varlen_func has no stand-in" in done.stdout
