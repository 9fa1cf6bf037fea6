"""Copies of KV rows between device and registered host memory, in Triton.

SGLang prefers its own just-in-time kernels and comes here where they cannot be built. Layers are
kept one after the other (`layer_first`) on both sides.
"""

from __future__ import annotations

from typing import Any

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


@triton.jit  # type: ignore[untyped-decorator]
def _copy_rows(sources, targets, source_rows, target_rows, row_words, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Copy one row of one buffer; `sources` and `targets` are tables of addresses."""
    row, buffer = tl.program_id(0), tl.program_id(1)
    source = tl.load(sources + buffer).to(tl.pointer_type(tl.int64))
    target = tl.load(targets + buffer).to(tl.pointer_type(tl.int64))
    source += tl.load(source_rows + row) * row_words
    target += tl.load(target_rows + row) * row_words
    word = tl.arange(0, BLOCK)
    inside = word < row_words
    tl.store(target + word, tl.load(source + word, mask=inside), mask=inside)


def copy_rows(
    sources: torch.Tensor,
    targets: torch.Tensor,
    source_rows: torch.Tensor,
    target_rows: torch.Tensor,
    row_bytes: int,
) -> None:
    """Copy rows of several buffers.

    Args:
        sources: 64-bit integers[buffers], addresses that the GPU can read.
        targets: 64-bit integers[buffers], addresses that the GPU can write.
        source_rows: int64[rows], on the GPU.
        target_rows: int64[rows], on the GPU.
        row_bytes: A multiple of 8.
    """
    words = row_bytes // 8
    grid = (len(source_rows), len(sources))
    if grid[0]:
        _copy_rows[grid](
            sources,
            targets,
            source_rows,
            target_rows,
            words,
            BLOCK=triton.next_power_of_2(words),
        )


def transfer_kv_per_layer(
    src_k: torch.Tensor,
    dst_k: torch.Tensor,
    src_v: torch.Tensor,
    dst_v: torch.Tensor,
    src_indices: torch.Tensor,
    dst_indices: torch.Tensor,
    item_size: int,
    **tuning: Any,
) -> None:
    """Copy rows of one layer."""
    for source, target in ((src_k, dst_k), (src_v, dst_v)):
        tables = (_table(source, src_indices), _table(target, src_indices))
        copy_rows(*tables, src_indices, dst_indices, item_size)


def transfer_kv_all_layer(
    src_k_layers: torch.Tensor,
    dst_k_layers: torch.Tensor,
    src_v_layers: torch.Tensor,
    dst_v_layers: torch.Tensor,
    src_indices: torch.Tensor,
    dst_indices: torch.Tensor,
    item_size: int,
    num_layers: int,
    **tuning: Any,
) -> None:
    """Copy rows of every layer; the tables hold one address a layer."""
    copy_rows(src_k_layers, dst_k_layers, src_indices, dst_indices, item_size)
    copy_rows(src_v_layers, dst_v_layers, src_indices, dst_indices, item_size)


_TABLES: dict[tuple[int, torch.device], torch.Tensor] = {}


def _table(buffer: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a buffer's address beside `like`, made once: pools live as long as the engine."""
    key = buffer.data_ptr(), like.device
    if key not in _TABLES:
        _TABLES[key] = torch.tensor([key[0]], dtype=torch.int64, device=like.device)
    return _TABLES[key]


def __getattr__(name: str) -> Any:
    if name.startswith("__") or name == "get_device_accessible_ptr":
        raise AttributeError(name)
    from sgl_kernel import Missing

    return Missing(f"{__name__}.{name}")
