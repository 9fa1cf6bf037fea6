"""Starts one SGLang engine as its settings say, in the arm they name."""

from __future__ import annotations

import json
import logging
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scalesim.deployments import machine
from scalesim.deployments.engine import boot, sizing
from scalesim.deployments.engine.emulation.gpu_times import times_of
from scalesim.deployments.engine.models.dimensions import llm_at
from scalesim.deployments.engine.models.model_registry import weight_files
from scalesim.deployments.engine.sglang import fork_server
from scalesim.errors import ConfigurationError
from scalesim.settings import AdapterSettings, EngineSettings, ModelSettings

_CPU_ARGS = {
    "device": "cpu",
    "attention_backend": "torch_native",
    "sampling_backend": "pytorch",
    "grammar_backend": "xgrammar",
    "disable_cuda_graph": True,
    "mem_fraction_static": 0.3,
    "lora_backend": "torch_native",
}
"""What SGLang lacks without a GPU; the layout of the host tier is the one that GPUs have."""

_EMULATED_ARGS = {"chunked_prefill_size": 8192}
"""What SGLang chooses on a GPU of 60 GB or more."""


def launch(settings: EngineSettings) -> Any:
    """Return a started `sglang` engine; takes 5 to 15 s on a CPU.

    Args:
        settings: As `prepared` returned them.

    Raises:
        ConfigurationError: SGLang would run in a mode that is refused.
    """
    _quiet()
    from sglang.srt.entrypoints.engine import Engine

    from scalesim.deployments.engine.sglang.arguments import resolved
    from scalesim.deployments.engine.sglang.local import keep_in_tmpdir

    keep_in_tmpdir()

    fork_server.use()

    class _Engine(Engine):  # type: ignore[misc]
        run_scheduler_process_func = staticmethod(fork_server.forked(boot.run_scheduler))
        run_detokenizer_process_func = staticmethod(fork_server.forked(boot.run_detokenizer))

    return _Engine(server_args=resolved(settings, server_args(settings)))


def prepared(settings: EngineSettings, engines: int = 1) -> EngineSettings:
    """Return settings for this machine, whatever they left open filled in.

    Args:
        settings: As they were given.
        engines: How many share this machine, this one included.

    Raises:
        ConfigurationError: The settings cannot work on this machine.
    """
    if settings.device == "cuda" and not boot.HAS_GPU:
        raise ConfigurationError(
            "engine.device is 'cuda' but no GPU is visible: use 'cpu' or 'auto', or check the "
            "driver and CUDA_VISIBLE_DEVICES"
        )
    if settings.device == "cpu" and boot.HAS_GPU:
        raise ConfigurationError(
            "engine.device is 'cpu' but a GPU is visible, beside which SGLang uses what is made "
            "for it: hide it (CUDA_VISIBLE_DEVICES=), or use 'cuda' or 'auto'"
        )
    if settings.emulation is not None and boot.HAS_GPU:
        raise ConfigurationError(
            "engine.emulation is set beside a real GPU: leave it out, or hide the GPU "
            "(CUDA_VISIBLE_DEVICES=)"
        )
    if settings.emulation is not None:
        times_of(settings.emulation)  # here what is refused is read, in the scheduler it is not
    on_cpu = _on_cpu(settings)
    dtype = sizing.dtype_of(settings, on_cpu=on_cpu)
    site = sizing.Site(machine.look(), on_cpu, engines, llm_at(settings, dtype))
    settings = sizing.fitted(settings.model_copy(update={"dtype": dtype}), site)
    if settings.models is not None:
        check_models(settings, settings.models)
    if settings.storage_backend is not None:
        check_storage(settings, settings.storage_backend)
    return settings


def check_tokens(engine: Any, settings: EngineSettings) -> None:
    """Check that a started engine has the device tier it was asked for: SGLang cuts it in silence.

    Raises:
        ConfigurationError: It has less; says how much.
    """
    asked = settings.device_tokens or 0
    there = engine._scheduler_init_result.scheduler_infos[0]["max_total_num_tokens"]
    if there < asked // settings.page_size * settings.page_size:
        raise ConfigurationError(
            f"engine.device_tokens {asked} do not fit: SGLang found room for {there}; use "
            f"device_tokens <= {there}, or leave it out"
        )


def device_name(settings: EngineSettings) -> str:
    """Return what an engine computes on: `cuda`, `cpu`, or `emulated-` and a GPU's name."""
    if settings.emulation is not None:
        return f"emulated-{settings.emulation.gpu or 'device'}"
    return "cpu" if _on_cpu(settings) else "cuda"


def _on_cpu(settings: EngineSettings) -> bool:
    return settings.device == "cpu" or not boot.HAS_GPU


def check_models(settings: EngineSettings, models: ModelSettings) -> None:
    """Check that an engine can serve more models than its own.

    Raises:
        ConfigurationError: It cannot; says why.
    """
    files = weight_files(Path(settings.model_path))
    size = sum(file.stat().st_size for file in files)
    least = models.host_bytes or size
    faults = {
        f"engine.arm is {settings.arm!r}: use 'scalesim'": settings.arm != "scalesim",
        "engine.adapters is set too: serve adapters from another stack": bool(settings.adapters),
        "engine.model_path is not a folder with *.safetensors: give one, not a hub name": not files,
        f"engine.models.host_bytes is {least}, one model's weights are {size}: use more": least
        < size,
    }
    for fault, holds in faults.items():
        if holds:
            raise ConfigurationError(f"engine.models cannot be served: {fault}")


def check_storage(settings: EngineSettings, backend: str) -> None:
    """Check that a storage backend of SGLang can be used.

    Raises:
        ConfigurationError: It cannot; says why.
    """
    from scalesim.deployments.engine.sglang import backends

    if settings.storage_dir is not None:
        raise ConfigurationError(
            f"engine.storage_dir and engine.storage_backend {backend!r} are set: the tier has one "
            "place; leave one out, or name the backend's folder in engine.storage_options"
        )
    backends.check(backend, settings.storage_options)


def server_args(settings: EngineSettings) -> dict[str, Any]:
    """Return SGLang's arguments for settings that `prepared` returned."""
    args: dict[str, Any] = {
        "model_path": settings.model_path,
        "served_model_name": settings.served_model_name,
        "dtype": settings.dtype,
        "page_size": settings.page_size,
        "tp_size": settings.tp_size,
        "log_level": settings.log_level,
        "enable_cache_report": True,
        "sleep_on_idle": True,
        "skip_server_warmup": True,
        "tool_call_parser": "auto",  # what the chat template says, none where it says nothing
    }
    optional = {
        "max_total_tokens": settings.device_tokens,
        "context_length": settings.context_length,
        "max_running_requests": settings.max_running_requests,
    }
    args |= {name: value for name, value in optional.items() if value is not None}
    if settings.arm != "stock":
        args |= {
            "enable_hierarchical_cache": True,
            "hicache_ratio": settings.host_ratio,
            "hicache_write_policy": "write_through",
        }
        if settings.host_bytes is not None:
            args["hicache_size"] = settings.host_bytes / settings.tp_size / 1e9  # of one rank, GB
    if settings.arm != "stock" and (settings.storage_dir or settings.storage_backend):
        args |= storage_args(settings)
    if settings.arm == "scalesim":
        args["radix_cache_backend"] = "scalesim"
    if settings.adapters is not None:
        args |= _adapter_args(settings.adapters)
    if _on_cpu(settings):
        args |= _CPU_ARGS
    if settings.emulation is not None and settings.emulation.gpu is not None:
        args |= _EMULATED_ARGS
    return args | settings.extra_args


def storage_args(settings: EngineSettings) -> dict[str, Any]:
    """Return SGLang's arguments for the storage tier: the backend named, or files in a folder.

    Those are kept by SGLang's own file backend, or by ours over HiCache.
    """
    extra: dict[str, Any] = {"prefetch_threshold": settings.page_size}
    if settings.storage_backend is not None:
        backend = settings.storage_backend
        extra |= settings.storage_options
    elif settings.arm == "scalesim":
        backend = "dynamic"
        extra |= {
            "backend_name": "scalesim",
            "module_path": "scalesim.deployments.engine.sglang.page_store",
            "class_name": "PageStore",
            "folder": settings.storage_dir,
            "quota_bytes": (settings.storage_bytes or 0) // settings.tp_size,  # of one rank
            "model": _fingerprint(settings.model_path),
        }
    else:
        backend = "file"
        extra |= {"file_storage_path": settings.storage_dir, "max_size": settings.storage_bytes}
    return {
        "hicache_storage_backend": backend,
        "hicache_storage_prefetch_policy": "timeout",
        "hicache_storage_backend_extra_config": json.dumps(extra),
    }


def _fingerprint(model_path: str) -> str:
    """Return what changes with the weights: pages of another model must never be read."""
    files = sorted(Path(model_path).glob("*.*"))
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return blake2b(repr((model_path, facts)).encode(), digest_size=16).hexdigest()


def _adapter_args(adapters: AdapterSettings) -> dict[str, Any]:
    return {
        "enable_lora": True,
        "max_loras_per_batch": adapters.slots + 1,  # one for requests of the bare model
        "max_loaded_loras": max(adapters.loaded, adapters.slots + 1),
        "max_lora_rank": adapters.max_rank,
        "lora_target_modules": list(adapters.modules),
    }


def _quiet() -> None:
    """Keep the import chatter of torch and transformers out of users' terminals."""
    for name in ("torch", "transformers", "sglang", "torchao"):
        logging.getLogger(name).setLevel(logging.ERROR)
