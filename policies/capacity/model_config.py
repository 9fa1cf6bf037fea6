"""A language model's dimensions from its `config.json`, as Hugging Face writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.hardware import Llm

_KV_HEADS = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num")
"""Names of one thing, in SGLang's order."""

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "half": 2, "float": 4}


def llm_of(
    config: Mapping[str, Any], file_bytes: int, dtype: str = "auto", kv_dtype: str = "auto"
) -> Llm:
    """Return the model that a configuration describes.

    Args:
        config: Content of `config.json`.
        file_bytes: Size of the files of its weights.
        dtype: What the engine computes in; `auto` is the model's own, in half precision.
        kv_dtype: What the engine keeps KV in, in SGLang's names; `auto` is `dtype`.

    Raises:
        InvalidRequestError: A dimension is missing; `field` names it.
    """
    text = {**config, **(config.get("text_config") or {})}
    heads = _whole(text, "num_attention_heads")
    kv_heads = next((int(text[name]) for name in _KV_HEADS if text.get(name)), heads)
    head_dim = int(text.get("head_dim") or _whole(text, "hidden_size") // heads)
    latent = int(text.get("kv_lora_rank") or 0)
    stored = str(text.get("dtype") or text.get("torch_dtype") or "float32")
    number_bytes = _BYTES.get(dtype, min(_BYTES.get(stored, 2), 2))
    # Quantised weights stay as they are in the files, whatever the engine computes in.
    kept = text.get("quantization_config") is not None
    return Llm(
        parameters=file_bytes / _BYTES.get(stored, 2),
        layers=_whole(text, "num_hidden_layers"),
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=int(text.get("v_head_dim") or 0),
        latent_dim=latent + int(text.get("qk_rope_head_dim") or 0) if latent else 0,
        parameter_bytes=_BYTES.get(stored, 2) if kept else number_bytes,
        query_heads=heads,
        kv_number_bytes=1 if kv_dtype.startswith("fp8") else _BYTES.get(kv_dtype, number_bytes),
    )


def _whole(config: Mapping[str, Any], field: str) -> int:
    value = config.get(field)
    if type(value) is not int or value < 1:
        raise InvalidRequestError(
            f"config.json has {field} {value!r}: expected a whole number from 1", field
        )
    return value
