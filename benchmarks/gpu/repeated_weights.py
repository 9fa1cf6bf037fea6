"""Weights on disk for a shape without a download: SGLang loads adapters beside no others.

One random layer stands for all: drawing eight billion numbers would take minutes.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

_INDEX = "model.safetensors.index.json"
_SCALE = 0.02


def write_weights(model: Path) -> None:
    """Write bfloat16 weights beside a Llama's `config.json`, a file a layer; keeps those there."""
    if (model / _INDEX).exists():
        return
    config = json.loads((model / "config.json").read_bytes())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    width = config["head_dim"]
    queries, keys = (
        width * config[name] for name in ("num_attention_heads", "num_key_value_heads")
    )
    shapes = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    drawn = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return (_SCALE * torch.randn(*shape, generator=drawn)).to(torch.bfloat16)

    layer = {name: random(*shape) for name, shape in shapes.items()}
    layer |= dict.fromkeys(
        ("input_layernorm", "post_attention_layernorm"), torch.ones(hidden, dtype=torch.bfloat16)
    )
    outer = {"model.embed_tokens.weight": random(config["vocab_size"], hidden)}
    outer["model.norm.weight"] = layer["input_layernorm"]
    if not config["tie_word_embeddings"]:
        outer["lm_head.weight"] = random(config["vocab_size"], hidden)
    files = {"outer": outer}
    for number in range(config["num_hidden_layers"]):
        named = {f"model.layers.{number}.{name}.weight": value for name, value in layer.items()}
        files[f"layer-{number}"] = named
    index: dict[str, str] = {}
    for name, tensors in files.items():
        # Each tensor has to have memory of its own.
        save_file(
            {key: value.clone() for key, value in tensors.items()}, model / f"{name}.safetensors"
        )
        index |= dict.fromkeys(tensors, f"{name}.safetensors")
    (model / _INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))
