import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.hardware import LLMS
from scalesim.policies.capacity.model_config import llm_of

LLAMA = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "torch_dtype": "bfloat16",
}
DEEPSEEK = {
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "hidden_size": 7168,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8"},
}


def test_llama():
    llm = llm_of(LLAMA, 16_060_522_496)
    assert llm == LLMS["llama-3.1-8b"]
    assert llm.kv_bytes_per_token == 131_072


@pytest.mark.parametrize(("ranks", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_heads_are_dealt_to_ranks_and_never_less_than_one(ranks, heads):
    assert llm_of(LLAMA, 1).rank_kv_bytes_per_token(ranks) == 32 * heads * 2 * 128 * 2


def test_latent_attention_is_whole_on_every_rank():
    llm = llm_of(DEEPSEEK, 688_586_727_753)
    assert llm.rank_kv_bytes_per_token(1) == llm.rank_kv_bytes_per_token(8) == 61 * 576 * 2
    assert llm.weight_bytes == 688_586_727_753  # quantised: as it is in the files


@pytest.mark.parametrize(
    ("stored", "dtype", "weight_bytes"),
    [
        ("float32", "float32", 400),
        ("float32", "auto", 200),  # SGLang takes half precision
        ("bfloat16", "auto", 400),
        ("bfloat16", "float32", 800),
        (None, "float32", 400),
    ],
)
def test_weights_are_in_what_the_engine_computes_in(stored, dtype, weight_bytes):
    llm = llm_of(LLAMA | {"torch_dtype": stored}, 400, dtype)
    assert llm.weight_bytes == weight_bytes


def test_kv_in_fewer_bits():
    assert llm_of(LLAMA, 1, "auto", "fp8_e5m2").kv_bytes_per_token == 65_536
    assert llm_of(LLAMA, 1, "float32").kv_bytes_per_token == 262_144


def test_names_of_other_families():
    falcon = {"num_attention_heads": 16, "n_head_kv": 2, "num_hidden_layers": 4, "head_dim": 8}
    assert llm_of(falcon, 1).kv_heads == 2
    del falcon["n_head_kv"]
    assert llm_of(falcon, 1).kv_heads == 16
    assert llm_of({"text_config": falcon, "dtype": "float16"}, 1).layers == 4


@pytest.mark.parametrize("field", ["num_hidden_layers", "num_attention_heads", "hidden_size"])
def test_a_missing_dimension_is_named(field):
    with pytest.raises(InvalidRequestError) as caught:
        llm_of({name: value for name, value in LLAMA.items() if name != field}, 1)
    assert caught.value.field == field
