"""A seeded fine-tune of a model on disk, of the same shape: for demos, tests and benchmarks."""

from __future__ import annotations

import shutil
from pathlib import Path

from scalesim.deployments.engine.models.model_registry import DESCRIPTIONS, weight_files

_SCALE = 0.5
"""Noise, as a share of each tensor's own spread: greedy answers differ from tune to tune."""


def build(folder: str | Path, model_path: str | Path, *, seed: int) -> Path:
    """Write a fine-tune of the model in `model_path` and return its folder; keeps one there."""
    target, base = Path(folder), Path(model_path)
    if target.exists():
        return target
    import torch
    from safetensors.torch import load_file, save_file

    random = torch.Generator().manual_seed(seed)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in weight_files(base):
        weights = load_file(file)
        for name, tensor in weights.items():
            noise = torch.randn(tensor.shape, generator=random)
            spread = tensor.float().std(correction=0)
            weights[name] = (tensor.float() + _SCALE * spread * noise).to(tensor.dtype)
        save_file(weights, partial / file.name, {"format": "pt"})
    for name in DESCRIPTIONS:
        if (base / name).is_file():
            shutil.copyfile(base / name, partial / name)
    return partial.rename(target)
