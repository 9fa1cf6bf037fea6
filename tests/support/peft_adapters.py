"""Adapters that the real PEFT makes and runs, over a model on disk."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from scalesim.deployments.engine import boot

assert boot  # what PEFT imports needs its shims

PATTERNS = {"rank_pattern": {"layers.0.self_attn.q_proj": 2}, "alpha_pattern": {"v_proj": 5}}

HONOURED: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "alpha-pattern": {"alpha_pattern": {"q_proj": 24, "layers.1.self_attn.v_proj": 3}},
    "rank-pattern": {"rank_pattern": {"layers.0.self_attn.q_proj": 2, "v_proj": 6}},
    "patterns-rslora": {"use_rslora": True, **PATTERNS},
    "regex": {"target_modules": r".*\.self_attn\.(q_proj|o_proj)"},
    "all-linear": {"target_modules": "all-linear"},
    "all-but": {"target_modules": "all-linear", "exclude_modules": ["down_proj", "k_proj"]},
    "one-layer": {"layers_to_transform": [1]},
    "fan-in-fan-out": {"fan_in_fan_out": True},
    "only-key": {"target_modules": ["k_proj"]},
    "only-up": {"target_modules": ["up_proj", "down_proj"]},
    "gaussian": {"init_lora_weights": "gaussian", "lora_dropout": 0.5},
}
"""Configurations, of rank 4 and alpha 8 on q_proj and v_proj where they do not say otherwise."""


def make(model: str, folder: Path, seed: int = 0, **fields: Any) -> Path:
    """Save a seeded adapter as PEFT does, and return its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft

        torch.manual_seed(seed)
        options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **fields}
        changed = peft.get_peft_model(
            _base(model), peft.LoraConfig(task_type="CAUSAL_LM", **options)
        )
        for name, weight in changed.named_parameters():
            if ".lora_B." in name:
                torch.nn.init.normal_(weight, std=0.05)
        changed.save_pretrained(folder)
    return folder


def logits(model: str, folder: Path, tokens: list[int]) -> torch.Tensor:
    """Return what PEFT computes with an adapter in a folder."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        import peft

        changed = peft.PeftModel.from_pretrained(_base(model), folder).eval()
        found: torch.Tensor = changed(input_ids=torch.tensor([tokens])).logits[0]
        return found


def answer(model: str, folder: Path, tokens: list[int], count: int) -> list[int]:
    """Return what it says next, greedily."""
    said: list[int] = []
    for _ in range(count):
        said.append(int(logits(model, folder, tokens + said)[-1].argmax()))
    return said


def _base(model: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
