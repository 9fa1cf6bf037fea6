"""Seeded LoRA adapters for the tiny model, as PEFT saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HIDDEN, LAYERS = 128, 2
OUT = {"q_proj": 128, "v_proj": 64}


def write_adapter(folder: Path, seed: int, rank: int = 8, **config: Any) -> Path:
    """Write an adapter that changes queries and values of every layer; returns its folder."""
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in range(LAYERS):
        for module, out in OUT.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            for part, shape in (("A", (rank, HIDDEN)), ("B", (out, rank))):
                matrix = 0.3 * rng.standard_normal(shape)
                weights[f"{name}.lora_{part}.weight"] = matrix.astype(np.float32)
    folder.mkdir(parents=True)
    save_file(weights, folder / "adapter_model.safetensors")
    told = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(OUT),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(told | config))
    return folder
