"""Models of two tensors, of which nothing but their files exists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CONFIG = {"architectures": ["LlamaForCausalLM"], "hidden_size": 4, "torch_dtype": "float32"}


def write_model(folder: Path, seed: int = 0, *, rows: int = 3, **fields: Any) -> Path:
    """Write a seeded model to `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    weights = {
        "head.weight": rng.standard_normal((rows, 4)).astype(np.float32),
        "norm.weight": rng.standard_normal(4).astype(np.float16),
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**CONFIG, **fields}))
    return folder
