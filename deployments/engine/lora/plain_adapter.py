"""Writes an adapter in the plain form: one rank, one scale, modules by the ends of their names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesim.deployments.engine.lora.saved_adapter import CONFIG, WEIGHTS, WORDS, SavedAdapter
from scalesim.errors import InvalidRequestError

if TYPE_CHECKING:
    import torch


def write(saved: SavedAdapter, source: Path, target: Path) -> None:
    """Write an adapter that computes the same.

    Smaller ranks are filled up with zeros. One scale of all modules becomes that of the adapter;
    where they differ, each goes into its own lora_B, in float32.

    Args:
        saved: What is in `source`.
        source: Its folder.
        target: A folder without it.

    Raises:
        InvalidRequestError: A value is not a finite number.
    """
    from safetensors.torch import load_file, save_file

    weights = load_file(source / WEIGHTS)
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise InvalidRequestError(f"tensor {name[:200]} has NaN or infinity", "model")
    rank, modules = saved.rank, saved.modules
    scales = {module.scale for module in modules.values()}
    common = scales.pop() if len(scales) == 1 else None
    for name, module in modules.items():
        a, b = (f"base_model.model.{name}.lora_{part}.weight" for part in "AB")
        if common is None:
            weights[b] = weights[b].float() * module.scale
        weights[a], weights[b] = _padded(weights[a], rank, 0), _padded(weights[b], rank, 1)
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank * (1.0 if common is None else common),
        "target_modules": sorted({name.rpartition(".")[2] for name in modules}),
        "bias": "none",
    }
    save_file(weights, target / WEIGHTS)
    (target / CONFIG).write_text(json.dumps(config))
    if (source / WORDS).is_file():
        shutil.copyfile(source / WORDS, target / WORDS)


def _padded(weight: torch.Tensor, rank: int, dim: int) -> torch.Tensor:
    missing = rank - weight.shape[dim]
    if not missing:
        return weight.contiguous()
    shape = list(weight.shape)
    shape[dim] = missing
    import torch

    return torch.cat((weight, weight.new_zeros(shape)), dim).contiguous()
