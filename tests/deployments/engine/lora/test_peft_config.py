from __future__ import annotations

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.lora.peft_config import HONOURED, WITHOUT_EFFECT, LoraConfig, read
from scalesim.errors import InvalidRequestError

PLAIN = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
QUERY = "model.layers.3.self_attn.q_proj"


def written(tmp_path: Path, **fields: Any) -> LoraConfig:
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**PLAIN, **fields}))
    return read(file)


def test_what_peft_writes_by_itself_is_taken(tmp_path: Path) -> None:
    assert boot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from peft import LoraConfig as PeftConfig
    fields = PeftConfig(target_modules=["q_proj"]).to_dict()
    fields["peft_type"] = fields["peft_type"].value
    assert written(tmp_path, **fields | {"target_modules": ["q_proj"]}).rank == 8
    assert {*fields, "peft_version", "megatron_core", "runtime_config"} >= HONOURED | WITHOUT_EFFECT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("lora_bias", True),
        ("bias", "lora_only"),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("trainable_token_indices", [1, 2]),
        ("layer_replication", [[0, 4], [2, 5]]),
        ("use_qalora", True),
        ("megatron_config", {"a": 1}),
        ("target_parameters", ["mlp.experts.down_proj"]),
        ("alora_invocation_tokens", [5]),
        ("use_bdlora", {"nblocks": 2}),
        ("arrow_config", {"top_k": 2}),
        ("kasa_config", {"beta": 1}),
        ("velora_config", {"scale": 1}),
        ("monteclora_config", {"n": 1}),
        ("ensure_weight_tying", True),
        ("a_field_of_tomorrow", 0.5),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "pissa_niter_16"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "loftq"),
        ("peft_type", "IA3"),
        ("peft_type", None),
        ("r", 8.0),
        ("r", "8"),
        ("r", True),
        ("r", 0),
        ("r", None),
        ("lora_alpha", None),
        ("lora_alpha", "16"),
        ("lora_alpha", float("nan")),
        ("use_rslora", "yes"),
        ("rank_pattern", {"q_proj": 2.5}),
        ("rank_pattern", {"(": 2}),
        ("rank_pattern", [4]),
        ("alpha_pattern", {"q_proj": None}),
        ("target_modules", None),
        ("target_modules", []),
        ("target_modules", [1]),
        ("target_modules", "("),
        ("exclude_modules", [1]),
        ("layers_to_transform", ["1"]),
        ("layers_pattern", "h"),
    ],
)
def test_what_would_change_answers_is_refused_by_name(
    tmp_path: Path, field: str, value: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=field) as refusal:
        written(tmp_path, **{field: value})
    assert refusal.value.field == field


@pytest.mark.parametrize("text", ["", "[]", "5", "{", '{"r": '])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(InvalidRequestError, match="not a JSON object"):
        read(tmp_path / "adapter_config.json")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "adapter_config.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode())
    assert read(file).alpha == 16.0


def test_patterns_go_before_what_holds_for_all(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        rank_pattern={"layers.3.self_attn.q_proj": 4},
        alpha_pattern={r"model\.layers\.\d\.self_attn\.q_proj": 2},
        use_rslora=True,
    )
    assert (config.rank_of(QUERY), config.scale_of(QUERY)) == (4, 1.0)
    other = "model.layers.3.self_attn.v_proj"
    assert (config.rank_of(other), config.scale_of(other)) == (8, 16 / 8**0.5)


@pytest.mark.parametrize("field", ["target_modules", "exclude_modules", "rank_pattern"])
def test_an_expression_that_takes_for_ever_is_refused(tmp_path: Path, field: str) -> None:
    slow = r"(\w|\.|\w\w)+[^\w.]"
    config = written(tmp_path, **{field: {slow: 4} if field == "rank_pattern" else slow})
    if field == "exclude_modules":
        config = config._replace(targets="all-linear")
    ask = config.rank_of if field == "rank_pattern" else partial(config.fault_of, layer=3)
    with pytest.raises(InvalidRequestError, match="takes too long") as refusal:
        ask(QUERY * 3)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"target_modules": ["v_proj"]}, "target_modules"),
        ({"target_modules": r".*v_proj"}, "target_modules"),
        ({"exclude_modules": ["q_proj"]}, "exclude_modules"),
        ({"layers_to_transform": [1, 2]}, "layers_to_transform"),
        ({"layers_to_transform": 2}, "layers_to_transform"),
        ({}, None),
        ({"target_modules": "all-linear"}, None),
        ({"target_modules": r".*\.(q|v)_proj"}, None),
        ({"layers_to_transform": 3}, None),
        ({"exclude_modules": "model.layers.2.*"}, None),
    ],
)
def test_weights_that_peft_would_not_use_name_the_field(
    tmp_path: Path, fields: dict[str, Any], field: str | None
) -> None:
    fault = written(tmp_path, **fields).fault_of(QUERY, 3)
    assert (fault and fault[0]) == field
