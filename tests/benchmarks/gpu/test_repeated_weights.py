from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu.repeated_weights import write_weights

pytestmark = pytest.mark.slow

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "torch_dtype": "bfloat16",
}


@pytest.mark.parametrize("tied", [False, True])
def test_a_llama_finds_every_weight_and_no_other(tmp_path: Path, tied: bool) -> None:
    from scalesim.deployments.engine import boot  # noqa: F401  prepares torchvision on a CPU

    from transformers import LlamaForCausalLM  # isort: skip

    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": tied}))
    write_weights(tmp_path)
    model, found = LlamaForCausalLM.from_pretrained(str(tmp_path), output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    assert not found["mismatched_keys"]
    first, last = (model.model.layers[at].mlp.up_proj.weight for at in (0, 2))
    assert (first == last).all()
    assert first.abs().max() > 0
    written = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    write_weights(tmp_path)
    assert written == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
