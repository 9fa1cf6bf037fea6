"""Modes of SGLang that are refused, by whatever turned them on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.engine.modes import MODES, ResolvedEngine, check
from scalesim.errors import ConfigurationError
from scalesim.settings import AdapterSettings, EngineSettings, ModelSettings

ARGS = {
    **dict.fromkeys(("tp_size", "pp_size", "dp_size", "attn_cp_size", "dcp_size", "nnodes"), 1),
    **dict.fromkeys(("enable_dp_attention", "disable_radix_cache", "enable_lora"), False),
    **dict.fromkeys(("enable_hisparse", "enable_unified_memory", "enable_pdmux"), False),
    **dict.fromkeys(("enable_lmcache", "enable_flexkv", "enable_session_radix_cache"), False),
    "enable_hierarchical_cache": True,
    "hicache_write_policy": "write_through",
    "hicache_host_memory_mode": "cache",
    "radix_cache_backend": "scalesim",
    "dllm_algorithm": None,
    **dict.fromkeys(("cpu_offload_gb", "offload_group_size"), 0),
    "disaggregation_mode": "null",
    "speculative_algorithm": None,
    "enable_lora_overlap_loading": None,
}
MODEL = {"is_hybrid_swa": False, "quantization": None}
OTHERS = ModelSettings(roots=("r",))


def engine(
    arm: Any = "scalesim",
    models: ModelSettings | None = None,
    model: dict[str, Any] | None = None,
    recurrent: bool = False,
    indexed: bool = False,
    late: bool = False,
    **args: Any,
) -> ResolvedEngine:
    settings = EngineSettings(
        model_path="m", arm=arm, models=models, adapters=AdapterSettings(roots=("r",))
    )
    args_, model_ = SimpleNamespace(**ARGS | args), SimpleNamespace(**MODEL | (model or {}))
    return ResolvedEngine(
        settings,
        args_,
        model_,
        is_recurrent=recurrent,
        is_latent=indexed,
        is_indexed=indexed,
        sizes_kv_late=late,
    )


REFUSED: list[dict[str, Any]] = [
    {"pp_size": 2},
    {"dp_size": 2},
    {"enable_dp_attention": True},
    {"attn_cp_size": 2},
    {"dcp_size": 2},
    {"nnodes": 2},
    {"disaggregation_mode": "prefill"},
    {"speculative_algorithm": "EAGLE"},
    {"model": {"is_hybrid_swa": True}},
    {"recurrent": True},
    {"indexed": True},
    {"enable_hisparse": True},
    {"dllm_algorithm": "LowConfidence"},
    {"enable_hierarchical_cache": False},
    {"hicache_write_policy": "write_back"},
    {"hicache_write_policy": "write_through_selective"},
    {"hicache_host_memory_mode": "buffer_only"},
    {"radix_cache_backend": None},
    {"enable_lmcache": True},
    {"enable_flexkv": True},
    {"enable_session_radix_cache": True},
    {"enable_unified_memory": True},
    {"enable_pdmux": True},
    {"late": True},
    {"disable_radix_cache": True},
    {"enable_lora_overlap_loading": True},
    {"models": OTHERS, "model": {"quantization": "fp8"}},
    {"models": OTHERS, "cpu_offload_gb": 4},
    {"models": OTHERS, "enable_lora": True},
]


@pytest.mark.parametrize("mode", REFUSED)
def test_a_mode_that_is_refused_says_why_and_what_to_do(mode: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be served: .+; .+"):
        check(engine(**mode))
    check(engine(**mode | {"arm": "hicache"}))


def test_every_refusal_is_tried() -> None:
    refused = {mode.name for mode in MODES if mode.refusal is not None}
    tried = {m.name for m in MODES for case in REFUSED if m.refusal and m.holds(engine(**case))}
    assert tried == refused


def test_others_are_served() -> None:
    check(engine())
    check(engine(tp_size=4))
    check(engine(model={"quantization": "fp8"}))
