"""Adapters for a model of which nothing but its shape exists."""

from __future__ import annotations

import json
from pathlib import Path

from scalesim.deployments.random_adapter import build

SHAPE = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}


def write_adapter(folder: Path, seed: int, rank: int = 8) -> Path:
    """Write a seeded adapter to `folder` and return it."""
    model = folder.parent.parent / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(SHAPE))
    return build(folder, model, seed=seed, rank=rank)
