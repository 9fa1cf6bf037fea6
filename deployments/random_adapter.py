"""A seeded LoRA adapter for a Llama on disk, as PEFT saves it: for demos, tests and benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

MODULES = ("q_proj", "v_proj")
"""Layers it changes."""

_SCALE = 0.3
"""Scale of its values: large enough that greedy answers differ between adapters."""


def build(folder: str | Path, model_path: str | Path, *, seed: int, rank: int = 8) -> Path:
    """Write an adapter for the model in `model_path` and return its folder; keeps one there."""
    target = Path(folder)
    if (target / "adapter_config.json").exists():
        return target
    from safetensors.numpy import save_file

    config = json.loads((Path(model_path) / "config.json").read_bytes())
    width = {"q_proj": config["num_attention_heads"], "v_proj": config["num_key_value_heads"]}
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in range(config["num_hidden_layers"]):
        for module in MODULES:
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            shapes = {
                "A": (rank, config["hidden_size"]),
                "B": (width[module] * config["head_dim"], rank),
            }
            for part, shape in shapes.items():
                values = _SCALE * rng.standard_normal(shape)
                weights[f"{name}.lora_{part}.weight"] = values.astype(np.float32)
    target.mkdir(parents=True)
    save_file(weights, target / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(MODULES),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (target / "adapter_config.json").write_text(json.dumps(config))
    return target
