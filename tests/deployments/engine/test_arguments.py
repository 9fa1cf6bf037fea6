"""Modes that are refused once more, as SGLang itself resolves its arguments."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from scalesim.deployments.engine.launch import prepared, server_args
from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings, ModelSettings

pytestmark = pytest.mark.engine


def resolve(model: str, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scalesim.deployments.engine.sglang.arguments import resolved

        settings = prepared(EngineSettings(model_path=model, device_tokens=4096, **more))
        return resolved(settings, server_args(settings))


def test_what_is_served_is_resolved(tiny_model: str) -> None:
    assert resolve(tiny_model).radix_cache_backend is not None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"pp_size": 2}, "pipeline parallelism"),
        ({"dp_size": 2}, "data parallelism"),
        ({"speculative_algorithm": "NGRAM"}, "speculative decoding"),
        ({"disaggregation_mode": "prefill"}, "prefill and decode"),
        ({"enable_dp_attention": True}, "DP attention"),
        ({"hicache_write_policy": "write_back"}, "host copies made late"),
        ({"enable_hierarchical_cache": False}, "no host tier"),
        ({"radix_cache_backend": None}, "another prefix cache"),
        ({"no_such_argument": 1}, "SGLang cannot run"),
    ],
)
def test_what_extra_args_turn_on_is_seen(
    tiny_model: str, extra: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolve(tiny_model, extra_args=extra)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {
                "architectures": ["GptOssForCausalLM"],
                "model_type": "gpt_oss",
                "sliding_window": 128,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            "sliding windows",
        ),
        (
            {
                "architectures": ["Qwen3NextForCausalLM"],
                "model_type": "qwen3_next",
                "layer_types": ["linear_attention", "full_attention"],
            },
            "Mamba",
        ),
    ],
)
def test_what_the_model_itself_is_is_seen(
    tiny_model: str, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    for file in Path(tiny_model).iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = tmp_path / "config.json"
    described = json.loads(config.read_text())
    config.unlink()
    config.write_text(json.dumps(described | changed))
    with pytest.raises(ConfigurationError, match=message):
        resolve(str(tmp_path))


def test_a_quantised_model_is_not_swapped(tiny_model: str, tmp_path: Path) -> None:
    models = ModelSettings(roots=(str(tmp_path),))
    with pytest.raises(ConfigurationError, match="quantised weights"):
        resolve(tiny_model, models=models, extra_args={"quantization": "fp8"})
