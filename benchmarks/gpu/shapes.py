"""Models of real shapes without a download, and adapters for them: speed ignores the values."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.gpu.repeated_weights import write_weights
from scalesim.deployments import random_adapter, random_model

SHAPES: dict[str, dict[str, Any]] = {
    # config.json of meta-llama/Llama-3.1-8B, Llama-3.2-3B and Llama-3.2-1B.
    "llama-3.1-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
    "llama-3.2-3b": {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
}

_LLAMA_3 = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
    "torch_dtype": "bfloat16",
}

NO_WEIGHTS = {"load_format": "dummy"}
"""Arguments of an engine whose weights are made on the device; answers are then alike for most
prompts, so it is for timing only."""


def folder_of(name: str, folder: Path, *, weights: bool = False) -> tuple[Path, dict[str, Any]]:
    """Return a model's folder below `folder` and the engine arguments it needs.

    A name of `SHAPES` is a config alone, unless `weights` are asked for; one of
    `deployments.random_model` has seeded ones.
    """
    if name not in SHAPES:
        return random_model.build(folder / name, size=name), {}
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps(_LLAMA_3 | SHAPES[name]))
    if weights:
        write_weights(target)
    return target, {} if weights else NO_WEIGHTS


def parameters_of(model: Path) -> int:
    """Return how many numbers a token passes through: a model's layers and its output."""
    config = json.loads((model / "config.json").read_text())
    hidden, width = config["hidden_size"], config["head_dim"]
    heads = config["num_attention_heads"] + config["num_key_value_heads"]
    layer = 2 * hidden * width * heads + 3 * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * layer + config["vocab_size"] * hidden)


def adapters_for(model: Path, count: int, rank: int, *, distinct: bool) -> list[Path]:
    """Return folders of so many adapters beside a model.

    Args:
        model: Its folder.
        count: How many names.
        rank: Of each.
        distinct: Values differ; otherwise all are links to one file, which an engine loads
            separately all the same.
    """
    root = model.parent / f"{model.name}-adapters-{rank}"
    first = random_adapter.build(root / "adapter-0", model, seed=0, rank=rank)
    folders = [first]
    for number in range(1, count):
        target = root / f"adapter-{number}"
        if distinct:
            random_adapter.build(target, model, seed=number, rank=rank)
        elif not target.exists():
            target.mkdir()
            for file in first.iterdir():
                os.link(file, target / file.name)
        folders.append(target)
    return folders
