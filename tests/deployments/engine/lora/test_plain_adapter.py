"""What is added computes what PEFT computes, and what cannot be is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from scalesim.deployments.engine.adapter_registry import AdapterRegistry
from scalesim.deployments.random_adapter import build
from scalesim.errors import InvalidRequestError
from scalesim.settings import AdapterSettings
from tests.support.peft_adapters import HONOURED, logits, make

TOKENS = list(range(3, 40))

PlainWeights = dict[str, torch.Tensor]


@pytest.fixture
def registry(tmp_path: Path, tiny_model: str) -> AdapterRegistry:
    settings = AdapterSettings(roots=(str(tmp_path / "root"),), max_rank=16)
    return AdapterRegistry(settings, tiny_model)


@pytest.mark.parametrize("kind", HONOURED)
def test_what_is_added_is_what_peft_computes(
    registry: AdapterRegistry, tiny_model: str, tmp_path: Path, kind: str
) -> None:
    source = make(tiny_model, tmp_path / "saved", **HONOURED[kind])
    added = registry.add("farmer", source)
    assert registry.find("farmer") == added
    config = json.loads((added.folder / "adapter_config.json").read_text())
    fields = ("use_rslora", "rank_pattern", "alpha_pattern", "exclude_modules")
    assert not any(config.get(field) for field in fields)
    ours = logits(tiny_model, added.folder, TOKENS)
    theirs = logits(tiny_model, source, TOKENS)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    if kind != "plain":
        plain = logits(tiny_model, make(tiny_model, tmp_path / "plain"), TOKENS)
        assert kind in {"gaussian", "fan-in-fan-out"} or not torch.allclose(ours, plain, atol=1e-3)


def changed(source: Path, change: Callable[[PlainWeights], PlainWeights], **fields: Any) -> None:
    config = source / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    weights = load_file(source / "adapter_model.safetensors")
    changed = {name: tensor.contiguous() for name, tensor in change(weights).items()}
    save_file(changed, source / "adapter_model.safetensors")


FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (lambda w: w, {"r": 2}, "r says rank 2"),
        (lambda w: w, {"r": 16}, "r says rank 16"),
        (lambda w: w, {"rank_pattern": {"q_proj": 2}}, "rank_pattern says rank 2"),
        (
            lambda w: {n: torch.cat((t, t), int("lora_A" in n)) for n, t in w.items()},
            {},
            "of shape",
        ),
        (lambda w: {n.replace("s.1.", "s.31."): t for n, t in w.items()}, {}, "is not there"),
        (lambda w: {n.replace("l.model.", "l."): t for n, t in w.items()}, {}, "is not there"),
        (lambda w: {n.replace("self_attn", "a"): t for n, t in w.items()}, {}, "is not there"),
        (lambda w: {n: t for n, t in w.items() if "lora_A" in n}, {}, "has lora_A alone"),
        (lambda w: {**w, f"{FIRST}.lora_B.bias": torch.zeros(4)}, {}, "lora_B.bias is not served"),
        (lambda w: {**w, f"{FIRST}.lora_magnitude_vector": torch.ones(4)}, {}, "is not served"),
        (lambda w: {**w, "base_model.model.lm_head.weight": torch.ones(4)}, {}, "lm_head.weight"),
        (lambda w: {n: t.double() for n, t in w.items()}, {}, "is F64"),
        (lambda w: {n: t[0] for n, t in w.items()}, {}, "matrices"),
        (lambda w: {n: t * torch.nan for n, t in w.items()}, {}, "NaN"),
        (lambda w: {}, {}, "holds no weights"),
        (lambda w: w, {"target_modules": ["k_proj"]}, "target_modules does not name"),
        (lambda w: w, {"layers_to_transform": [0]}, "layers_to_transform leaves out layer 1"),
    ],
)
def test_weights_that_peft_would_not_use_so_are_refused(
    registry: AdapterRegistry,
    tiny_model: str,
    tmp_path: Path,
    change: Callable[[PlainWeights], PlainWeights],
    fields: dict[str, Any],
    message: str,
) -> None:
    source = build(tmp_path / "saved", tiny_model, seed=1, rank=4)
    changed(source, change, **fields)
    with pytest.raises(InvalidRequestError, match=message):
        registry.add("farmer", source)
    assert not list((tmp_path / "root").glob("*"))


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"version https://git-lfs", b""])
def test_files_that_are_no_weights_are_refused(
    registry: AdapterRegistry, tiny_model: str, tmp_path: Path, data: bytes
) -> None:
    source = build(tmp_path / "saved", tiny_model, seed=1, rank=4)
    (source / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(InvalidRequestError, match=r"adapter_model\.safetensors"):
        registry.add("farmer", source)


def test_tokens_of_its_own_are_refused_and_the_model_s_are_not(
    registry: AdapterRegistry, tiny_model: str, tmp_path: Path
) -> None:
    source = build(tmp_path / "saved", tiny_model, seed=1, rank=4)
    words = source / "added_tokens.json"
    words.write_text('{"<town>": 5}')
    assert (
        registry.add("farmer", source).folder / "added_tokens.json"
    ).read_text() == '{"<town>": 5}'
    for text in ('{"<town>": 10000000}', "[1]", '{"a": "b"}'):
        words.write_text(text)
        with pytest.raises(InvalidRequestError, match=r"added_tokens\.json"):
            registry.add("baker", source)


def test_what_was_put_into_a_root_by_hand_must_be_plain(
    registry: AdapterRegistry, tiny_model: str, tmp_path: Path
) -> None:
    for name, fields in {"plain": {}, "scaled": {"use_rslora": True}}.items():
        source = build(tmp_path / "root" / name, tiny_model, seed=1, rank=4)
        changed(source, lambda weights: weights, **fields)
    assert registry.find("plain").rank == 4
    with pytest.raises(InvalidRequestError, match="scalesim adapter add"):
        registry.find("scaled")
