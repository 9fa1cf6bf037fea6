"""Loads of adapters, by SGLang's own classes, over layers of which nothing but sizes exists."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from scalesim.deployments.engine import boot
from scalesim.deployments.random_adapter import build
from tests.support.adapter_files import SHAPE

pytestmark = pytest.mark.engine

LAYERS, RANK, WIDTH, INNER = SHAPE["num_hidden_layers"], 4, SHAPE["hidden_size"], 256
QKV = SimpleNamespace(
    input_size=WIDTH,
    total_num_heads=SHAPE["num_attention_heads"],
    total_num_kv_heads=SHAPE["num_key_value_heads"],
    head_size=SHAPE["head_dim"],
    v_head_size=SHAPE["head_dim"],
)
GATE_UP = SimpleNamespace(input_size=WIDTH, output_size=2 * INNER)


class FakeLoraManager:
    """SGLang's bookkeeping of loaded adapters."""

    def __init__(self) -> None:
        assert boot
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sglang.srt.configs.load_config import LoadConfig
            from sglang.srt.lora.lora_manager import LoRAManager

            from scalesim.deployments.engine.sglang.adapter_weights import AdapterLoads

        real: Any = LoRAManager.__new__(LoRAManager)
        real.loras, real.configs, real.lora_refs = {}, {}, {}
        real.base_hf_config = SimpleNamespace(num_hidden_layers=LAYERS, vocab_size=100)
        real.load_config, real.lora_backend, real.base_model = LoadConfig(), None, None
        real.speculative_algorithm, real.dtype = None, torch.bfloat16
        real.attn_dp_enabled, real.num_pinned_loras = False, 0
        layers = {"model.qkv_proj": QKV, "model.gate_up_proj": GATE_UP}
        wrapped = {name: SimpleNamespace(base_layer=base) for name, base in layers.items()}
        real.lora_modules = [wrapped] * LAYERS
        real.memory_pool = SimpleNamespace(
            target_modules={"qkv_proj", "gate_up_proj"},
            base_model=None,
            can_support=lambda config: True,
        )
        self.other_can = True
        ranks: Any = SimpleNamespace(agreed=lambda yes: yes and self.other_can)
        AdapterLoads(real, ranks)
        self.real = real

    def load(self, folder: Path) -> Any:
        reference = SimpleNamespace(
            lora_id=folder.name, lora_name=folder.name, lora_path=str(folder), pinned=False
        )
        return self.real._load_lora_adapter(reference)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> FakeLoraManager:
    assert boot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sglang.srt.lora.lora import LoRAAdapter

    def read(adapter: Any) -> None:  # SGLang's loader asks for the arguments of an engine
        adapter.initialize_weights_from_tensors(
            load_file(Path(adapter.config.path) / "adapter_model.safetensors")
        )

    monkeypatch.setattr(LoRAAdapter, "initialize_weights", read)
    monkeypatch.setattr(LoRAAdapter, "_normalize_weights", LoRAAdapter._normalize_weights)
    return FakeLoraManager()


def saved(folder: Path, names: dict[str, str], **tensors: torch.Tensor) -> Path:
    """An adapter of one projection, under its name by those of `names`."""
    (folder.parent / "model").mkdir(exist_ok=True)
    (folder.parent / "model" / "config.json").write_text(json.dumps(SHAPE))
    build(folder, folder.parent / "model", seed=1, rank=RANK)
    file = folder / "adapter_model.safetensors"
    kept = {name: t for name, t in load_file(file).items() if any(n in name for n in names)}
    for old, new in names.items():
        kept = {name.replace(old, new): tensor for name, tensor in kept.items()}
    save_file({**kept, **tensors}, file)
    config = folder / "adapter_config.json"
    changed = {**json.loads(config.read_text()), "target_modules": list(names.values())}
    config.write_text(json.dumps(changed))
    return folder


@pytest.mark.parametrize("kept", ["q_proj", "v_proj"])
def test_what_an_adapter_leaves_alone_is_changed_by_nothing(
    manager: FakeLoraManager, tmp_path: Path, kept: str
) -> None:
    folder = saved(tmp_path / "a", {kept: kept})
    assert manager.load(folder).success
    (a,), (b,) = (
        [w for n, w in manager.real.loras["a"].layers[0].weights.items() if f"lora_{part}" in n]
        for part in "AB"
    )
    assert (a.shape, b.shape) == ((3 * RANK, WIDTH), (2 * WIDTH, RANK))
    weights = load_file(folder / "adapter_model.safetensors")
    whole = next(t for n, t in weights.items() if "layers.0" in n and "lora_B" in n).bfloat16()
    place = b[:WIDTH] if kept == "q_proj" else b[-len(whole) :]
    assert torch.equal(place, whole)
    assert int((b != 0).sum()) == int((whole != 0).sum())


def test_its_weights_are_one_block_in_the_engine_s_type(
    manager: FakeLoraManager, tmp_path: Path
) -> None:
    assert manager.load(saved(tmp_path / "a", {"q_proj": "q_proj", "v_proj": "v_proj"})).success
    weights = [w for layer in manager.real.loras["a"].layers for w in layer.weights.values()]
    assert {w.dtype for w in weights} == {torch.bfloat16}
    assert len({w.untyped_storage().data_ptr() for w in weights}) == 1


def test_what_another_rank_cannot_load_is_nowhere(manager: FakeLoraManager, tmp_path: Path) -> None:
    folder, real = saved(tmp_path / "a", {"q_proj": "q_proj"}), manager.real
    manager.other_can = False
    answer = manager.load(folder)
    assert not answer.success
    assert "another tensor-parallel rank" in answer.error_message
    assert (real.loras, real.configs, real.lora_refs) == ({}, {}, {})
    assert real.num_pinned_loras == 0
    manager.other_can = True
    assert manager.load(folder).success


def test_a_wrong_one_fails_alone_and_leaves_nothing(
    manager: FakeLoraManager, tmp_path: Path
) -> None:
    wrong = {
        "wide": (lambda t, n: torch.cat((t, t), int("lora_A" in n)), "expected"),
        "nan": (lambda t, n: t * torch.nan, "NaN"),
    }
    for name, (worse, message) in wrong.items():
        folder = saved(tmp_path / name, {"q_proj": "q_proj", "v_proj": "v_proj"})
        file = folder / "adapter_model.safetensors"
        save_file({n: worse(t, n).contiguous() for n, t in load_file(file).items()}, file)
        for _ in range(2):
            answer = manager.load(folder)
            assert not answer.success
            assert message in answer.error_message
    real = manager.real
    assert (real.loras, real.configs, real.lora_refs) == ({}, {}, {})
