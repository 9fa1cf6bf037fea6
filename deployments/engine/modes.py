"""Every mode of SGLang that matters to moved state: works, or is refused before anything starts.

`docs/reference/modes.md` is written from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings


class ResolvedEngine(NamedTuple):
    """What an engine will be, whichever of our settings or SGLang's arguments said so.

    Attributes:
        settings: Ours.
        args: SGLang's arguments, as SGLang has resolved them.
        model: SGLang's configuration of the model.
        is_recurrent: The model keeps another state than a KV cache (Mamba, linear attention).
        is_latent: Its attention is latent (MLA).
        is_indexed: Its attention is sparse, by an index beside the KV cache.
        sizes_kv_late: SGLang sizes its KV pool after it has captured graphs.
    """

    settings: EngineSettings
    args: Any
    model: Any
    is_recurrent: bool
    is_latent: bool
    is_indexed: bool
    sizes_kv_late: bool

    @property
    def stores(self) -> bool:
        """Whether it has a storage tier."""
        return bool(self.settings.storage_dir or self.settings.storage_backend)


class Mode(NamedTuple):
    """One mode.

    Attributes:
        name: In SGLang's words.
        turned_on: By what.
        holds: Whether an engine is in it.
        refusal: Why it is refused and what to do; None where it works.
        note: Where it works: how far that was seen.
    """

    name: str
    turned_on: str
    holds: Callable[[ResolvedEngine], bool]
    refusal: str | None = None
    note: str = ""


_ON_A_CPU = "tested with real engines on a CPU"
_RANKS_ON_A_CPU = "tested with two ranks on a CPU; not run on several GPUs yet"
_NOT_ON_A_GPU = "copied by SGLang's own kernels; not run yet: they need a GPU"

MODES = (
    Mode("prefixes", "always", lambda engine: True, note=_ON_A_CPU),
    Mode(
        "adapters", "`engine.adapters`", lambda e: e.settings.adapters is not None, note=_ON_A_CPU
    ),
    Mode("models", "`engine.models`", lambda e: e.settings.models is not None, note=_ON_A_CPU),
    Mode("storage tier", "`engine.storage_dir`", lambda e: e.stores, note=_ON_A_CPU),
    Mode("tensor parallelism", "`tp_size`", lambda e: e.args.tp_size > 1, note=_RANKS_ON_A_CPU),
    Mode(
        "pipeline parallelism",
        "`pp_size`",
        lambda e: e.args.pp_size > 1,
        "its stages would move state in different passes; use tp_size, or more replicas",
    ),
    Mode(
        "data parallelism in an engine, DP attention",
        "`dp_size`, `enable_dp_attention`",
        lambda e: e.args.dp_size > 1 or e.args.enable_dp_attention,
        "its ranks hold other agents each and would share one channel; use replicas, one engine "
        "each",
    ),
    Mode(
        "context parallelism",
        "`attn_cp_size`, `dcp_size`",
        lambda e: e.args.attn_cp_size > 1 or e.args.dcp_size > 1,
        "pages are spread over ranks in another way; use tp_size",
    ),
    Mode(
        "several machines in one engine",
        "`nnodes`",
        lambda e: e.args.nnodes > 1,
        "directives reach the ranks of one machine; use replicas, one engine each",
    ),
    Mode(
        "prefill and decode in engines of their own",
        "`disaggregation_mode`",
        lambda e: e.args.disaggregation_mode not in (None, "null"),
        "prefixes would leave with the request; use whole engines",
    ),
    Mode(
        "speculative decoding",
        "`speculative_algorithm`",
        lambda e: e.args.speculative_algorithm is not None,
        "the draft model's KV, adapters and weights are not moved with the agent's; leave it out",
    ),
    Mode(
        "models with sliding windows between full attention",
        "the model",
        lambda e: bool(e.model.is_hybrid_swa),
        "parts of a prefix are gone once the window has passed; use engine.arm 'hicache' or "
        "another model",
    ),
    Mode(
        "Mamba, linear attention and hybrids of them",
        "the model",
        lambda e: e.is_recurrent,
        "their state is not a sequence of pages; use engine.arm 'hicache' or another model",
    ),
    Mode(
        "KV sized after graphs are captured",
        "`SGLANG_ENABLE_POST_CAPTURE_KV_SIZING`",
        lambda e: e.sizes_kv_late,
        "budgets are reported before that; unset it",
    ),
    Mode(
        "no radix cache",
        "`disable_radix_cache`",
        lambda e: bool(e.args.disable_radix_cache),
        "there would be no prefixes to keep; leave it out, or use engine.arm 'stock'",
    ),
    Mode(
        "adapters copied by SGLang's own overlap loader",
        "`enable_lora_overlap_loading`",
        lambda e: bool(e.args.enable_lora_overlap_loading),
        "copies ahead of requests are made by distance; leave it out",
    ),
    Mode(
        "models and quantised weights",
        "`engine.models` with a quantised model or `quantization`",
        lambda e: e.settings.models is not None and e.model.quantization is not None,
        "SGLang packs them on loading and cannot write others over them; use an unquantised one",
    ),
    Mode(
        "models and weights kept in host memory",
        "`engine.models` with `cpu_offload_gb` or `offload_group_size`",
        lambda e: (
            e.settings.models is not None
            and (e.args.cpu_offload_gb > 0 or e.args.offload_group_size > 0)
        ),
        "a swap would write over what is copied back; leave one out",
    ),
    Mode(
        "models and adapters in one engine",
        "`engine.models` with `engine.adapters` or `enable_lora`",
        lambda e: e.settings.models is not None and bool(e.args.enable_lora),
        "an adapter belongs to one model; serve adapters from another stack",
    ),
    Mode("latent attention (MLA)", "the model", lambda e: e.is_latent, note=_NOT_ON_A_GPU),
    Mode(
        "sparse attention by an index of its own",
        "the model",
        lambda e: e.is_indexed or bool(e.args.enable_hisparse),
        "its index would have to be moved with the pages; use engine.arm 'hicache' or another "
        "model",
    ),
    Mode(
        "diffusion language models",
        "`dllm_algorithm`",
        lambda e: e.args.dllm_algorithm is not None,
        "a block's KV changes until it is done; use engine.arm 'hicache' or another model",
    ),
    Mode(
        "no host tier",
        "`enable_hierarchical_cache`",
        lambda e: not e.args.enable_hierarchical_cache,
        "there would be nowhere to move prefixes to; leave it out, or use engine.arm 'stock'",
    ),
    Mode(
        "host copies made late, or not of all",
        "`hicache_write_policy`",
        lambda e: e.args.hicache_write_policy != "write_through",
        "room is made at once by what has a copy already; leave it out",
    ),
    Mode(
        "host memory that only passes on to storage",
        "`hicache_host_memory_mode`",
        lambda e: e.args.hicache_host_memory_mode != "cache",
        "it would keep nothing; leave it out",
    ),
    Mode(
        "another prefix cache, or another order of eviction",
        "`radix_cache_backend`, `enable_lmcache`, `enable_flexkv`, `enable_session_radix_cache`",
        lambda e: (
            e.args.radix_cache_backend != "scalesim"
            or bool(e.args.enable_lmcache or e.args.enable_flexkv)
            or bool(e.args.enable_session_radix_cache)
        ),
        "ours decides by distance what stays; leave it out, or use engine.arm 'stock'",
    ),
    Mode(
        "one pool for everything on the device",
        "`enable_unified_memory`",
        lambda e: bool(e.args.enable_unified_memory),
        "its pages change places, and its budgets their sizes; leave it out",
    ),
    Mode(
        "prefill beside decode on one GPU",
        "`enable_pdmux`",
        lambda e: bool(e.args.enable_pdmux),
        "passes on streams of their own would not wait for an adapter's copy; leave it out",
    ),
)


def check(engine: ResolvedEngine) -> None:
    """Refuse modes that the plugin does not support; the other arms run SGLang unchanged.

    Raises:
        ConfigurationError: Says which mode, what turned it on, why it is refused and what to do.
    """
    if engine.settings.arm != "scalesim":
        return
    for mode in MODES:
        if mode.refusal is not None and mode.holds(engine):
            raise ConfigurationError(
                f"{mode.name} (by {mode.turned_on.replace('`', '')}) cannot be served: "
                f"{mode.refusal}"
            )
