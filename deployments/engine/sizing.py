"""How large an engine's tiers are on this machine, and what asks for more than there is.

Host memory is divided by what the machine or the container has in all, not by what is free: engines
that start together do not see each other's memory yet, and one that comes back finds its part.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.engine.lora.saved_adapter import WEIGHTS
from scalesim.deployments.machine import Machine, disk_bytes
from scalesim.errors import ConfigurationError
from scalesim.policies.capacity.fit import EngineRoom
from scalesim.policies.capacity.hardware import Calibration, Llm
from scalesim.settings import EngineSettings

GIB = 2**30

CPU_TOKENS = 16_384
"""Device tier on a CPU where none is named: its share of memory would leave none for the rest."""
CPU_HOST_TOKENS = 4 * CPU_TOKENS
"""Most of a host tier that is not named on a CPU: the tier is filled when it is made, and here it
saves nothing but computing."""

PROCESS_BYTES = 3 * GIB
"""Host memory of one rank's processes beside the tiers: code, CUDA, buffers."""
SGLANG_RESERVE_BYTES = 10 * GIB
"""What SGLang leaves free beside a host tier on a GPU (`pool_host/base.py`)."""
MOST_DEVICE_SHARE = 0.95
"""Largest share of free device memory for weights and KV: activations need a place beside them."""
SHARED_BYTES_PER_RANK = GIB // 8
"""Bytes of /dev/shm, where tensor-parallel ranks exchange what goes through host memory."""
DISK_SHARE = 0.8
STORED_BYTES = 64 * GIB
"""Size assumed of storage whose disk cannot be asked: a backend elsewhere, or an unreadable
folder."""
LEAST_TIER_BYTES = 2**20

_NOT_AS_SAVED = frozenset({"quantization", "load_format", "cpu_offload_gb", "offload_group_size"})
"""Arguments of SGLang with which weights on the device are not as large as their files."""


class Site(NamedTuple):
    """Where an engine is about to start.

    Attributes:
        machine: What is there.
        on_cpu: Whether it runs on the CPU.
        engines: Engines that share the machine, this one included.
        llm: Its model, where its dimensions are known.
    """

    machine: Machine
    on_cpu: bool
    engines: int = 1
    llm: Llm | None = None


def dtype_of(settings: EngineSettings, *, on_cpu: bool) -> str:
    """Return what an engine computes in.

    On a CPU half precision is slower, and greedy tokens depend on how calls were batched.
    """
    return "float32" if on_cpu and settings.dtype == "auto" else settings.dtype


def fitted(settings: EngineSettings, site: Site) -> EngineSettings:
    """Return the settings with every size that was left open filled in for this place.

    Raises:
        ConfigurationError: What was asked for is not there; says what is, and what to ask for.
    """
    _check_ranks(settings, site)
    settings = settings.model_copy(update={"device_tokens": _device_tokens(settings, site)})
    if settings.arm == "stock":
        return settings
    settings = _with_models(settings, site)
    return settings.model_copy(
        update={
            "host_bytes": _host_bytes(settings, site),
            "storage_bytes": _storage_bytes(settings, site),
        }
    )


def room(settings: EngineSettings, site: Site, llm: Llm) -> EngineRoom:
    """Return the tiers of an engine with these settings, estimated where SGLang measures.

    Args:
        settings: As given, or as `fitted` filled them in.
        site: Where it starts.
        llm: Its model.
    """
    share = settings.extra_args.get("mem_fraction_static")
    tier = _device_room(settings, site, llm, share or Calibration().memory_share)
    if settings.device_tokens is not None:
        kv_bytes = settings.device_tokens * llm.rank_kv_bytes_per_token(tier.ranks)
        tier = replace(tier, rank_device_bytes=tier.rank_weight_bytes + kv_bytes)
    if settings.host_ratio is not None:
        tier = replace(tier, host_bytes=settings.host_ratio * tier.device_tokens * tier.token_bytes)
    return tier


def host_room(settings: EngineSettings, site: Site, *, most: bool = False) -> float:
    """Return host memory for one engine's host tier and models; below 0 there is none.

    Args:
        settings: Their `host_share` counts.
        site: Where it starts.
        most: Take all that is there but what processes need, in place of `host_share`.
    """
    llm, (limit, available) = site.llm, site.machine.memory
    device, processes = 0.0, settings.tp_size * PROCESS_BYTES
    if site.on_cpu and llm is not None:  # the device tier is in the same memory
        tokens = settings.device_tokens or CPU_TOKENS
        device = llm.weight_bytes + tokens * llm.kv_bytes_per_token
    part, share = limit / site.engines - device, 1.0 if most else settings.host_share
    reserve = 0 if site.on_cpu else SGLANG_RESERVE_BYTES
    tiers = min(part - processes, part * share, available - device - processes - reserve)
    return tiers - _adapters_bytes(settings) - _offloaded_bytes(settings)


def _adapters_bytes(settings: EngineSettings) -> int:
    """Return host memory for adapters: the largest there are, as many as are loaded at a time.

    Every rank keeps them whole; of several, each keeps the share that it copies too.
    """
    adapters = settings.adapters
    if adapters is None:
        return 0
    files = (file for root in adapters.roots for file in Path(root).glob(f"*/{WEIGHTS}"))
    sizes = sorted((file.stat().st_size for file in files if file.is_file()), reverse=True)
    copies = settings.tp_size + (settings.tp_size > 1)
    return copies * sum(sizes[: max(adapters.loaded, adapters.slots + 1)])


def _offloaded_bytes(settings: EngineSettings) -> int:
    """Return host memory for weights that SGLang is told to keep there."""
    return int(settings.extra_args.get("cpu_offload_gb", 0) * GIB) * settings.tp_size


def _device_room(settings: EngineSettings, site: Site, llm: Llm, share: float) -> EngineRoom:
    """Return what an engine has where it takes a share of what is free on its GPUs."""
    free = min((gpu.free_bytes for gpu in site.machine.gpus[: settings.tp_size]), default=0)
    return EngineRoom(llm, settings.tp_size, free * share, settings.host_bytes or 0)


def _check_ranks(settings: EngineSettings, site: Site) -> None:
    ranks, machine = settings.tp_size, site.machine
    if ranks == 1:
        return
    if not site.on_cpu and machine.gpus and len(machine.gpus) < ranks:
        raise ConfigurationError(
            f"engine.tp_size is {ranks}, but the engine sees {len(machine.gpus)} GPUs: it cannot "
            f"span machines; use tp_size <= {len(machine.gpus)}"
        )
    needed = ranks * SHARED_BYTES_PER_RANK
    if machine.shared_bytes < needed:
        raise ConfigurationError(
            f"engine.tp_size {ranks} needs {gb(needed)} of /dev/shm, {gb(machine.shared_bytes)} is "
            "there: start the container with --shm-size=2g (volumes.shmSize in the chart)"
        )


def _device_tokens(settings: EngineSettings, site: Site) -> int | None:
    """Return the device tier; None leaves it to SGLang, which measures what is free."""
    tokens, llm = settings.device_tokens, site.llm
    if site.on_cpu:
        if host_room(settings, site, most=True) < 0:
            raise ConfigurationError(
                f"{tokens or CPU_TOKENS} device tokens and the weights of {settings.model_path} do "
                f"not fit: {gb(site.machine.memory.available_bytes)} of memory is free, for "
                f"{_count(site.engines)}: use fewer engine.device_tokens, or a smaller model"
            )
        return tokens or CPU_TOKENS
    if llm is None or not site.machine.gpus or settings.extra_args.keys() & _NOT_AS_SAVED:
        return tokens
    there = _device_room(settings, site, llm, MOST_DEVICE_SHARE)
    if there.device_bytes <= 0:
        where = f"each of {there.ranks} GPUs" if there.ranks > 1 else "a GPU"
        raise ConfigurationError(
            f"the weights of {settings.model_path} need {gb(there.rank_weight_bytes)} on {where}, "
            f"{gb(there.rank_device_bytes)} is there: use engine.tp_size >= "
            f"{there.fewest_ranks}, a smaller model, or end what else uses the GPU"
        )
    if tokens is not None and tokens > there.device_tokens:
        raise ConfigurationError(
            f"engine.device_tokens {tokens} needs {gb(tokens * there.token_bytes)} of device "
            f"memory, {gb(there.device_bytes)} is there beside the weights: use device_tokens <= "
            f"{there.device_tokens}, or leave it out"
        )
    return tokens


def _with_models(settings: EngineSettings, site: Site) -> EngineSettings:
    models = settings.models
    if models is None:
        return settings
    there = host_room(settings, site, most=models.host_bytes is not None)
    needed = _models_bytes(settings)
    if models.host_bytes is not None and needed > there:
        raise _too_much("models.host_bytes", models.host_bytes, needed, there, site)
    host_bytes = models.host_bytes or max(int(there / 2), 1)
    return settings.model_copy(
        update={"models": models.model_copy(update={"host_bytes": host_bytes})}
    )


def _models_bytes(settings: EngineSettings) -> int:
    """Return host memory for models: all ranks of an engine together."""
    models = settings.models
    return 0 if models is None else models.host_bytes or 0


def _host_bytes(settings: EngineSettings, site: Site) -> int | None:
    """Return the host tier; None where `host_ratio` says it."""
    ratio, llm = settings.host_ratio, site.llm
    is_open = settings.host_bytes is None and ratio is None
    there = host_room(settings, site, most=not is_open) - _models_bytes(settings)
    if site.on_cpu and is_open:
        there = min(there, CPU_HOST_TOKENS * llm.kv_bytes_per_token if llm is not None else GIB)
    if there < LEAST_TIER_BYTES:
        raise _nothing_left(settings, site)
    if is_open:
        return int(there)
    if settings.host_bytes is not None:
        if settings.host_bytes > there:
            raise _too_much("host_bytes", settings.host_bytes, settings.host_bytes, there, site)
    elif ratio is not None and llm is not None and (site.on_cpu or site.machine.gpus):
        needed = room(settings, site, llm).host_bytes
        if needed > there:
            raise _too_much("host_ratio", ratio, needed, there, site)
    return settings.host_bytes


def _nothing_left(settings: EngineSettings, site: Site) -> ConfigurationError:
    limit, available = site.machine.memory
    others = _adapters_bytes(settings) + _models_bytes(settings) + _offloaded_bytes(settings)
    beside = f" beside {gb(others)} of adapters and models" if others else ""
    return ConfigurationError(
        f"no memory is left for a host tier{beside}: {gb(limit)} for {_count(site.engines)}, "
        f"{gb(available)} of it free: give the machine or the container more, use fewer "
        "replicas, or engine.arm stock, which has none"
    )


def _storage_bytes(settings: EngineSettings, site: Site) -> int:
    stored, folder = settings.storage_bytes, settings.storage_dir
    if folder is None:
        return stored or STORED_BYTES
    try:
        there = disk_bytes(Path(folder)) / site.engines
    except OSError:
        return stored or STORED_BYTES
    if stored is not None and stored > there:
        if there < LEAST_TIER_BYTES:
            raise ConfigurationError(
                f"the disk of engine.storage_dir {folder} has {gb(there)} for each of "
                f"{_count(site.engines)}: free some, or name another folder"
            )
        raise _too_much("storage_bytes", stored, stored, there, site, "disk")
    return stored or max(int(there * DISK_SHARE), 2**20)


def _too_much(
    name: str, value: float, needed: float, there: float, site: Site, what: str = "host memory"
) -> ConfigurationError:
    each = f" for each of {site.engines} engines here" if site.engines > 1 else ""
    fits = max(value * there / needed, 0.0)
    set_to, most = str(value), str(int(fits))
    if isinstance(value, float):
        set_to, most = f"{value:g}", f"{int(fits * 10) / 10:g}"
    return ConfigurationError(
        f"engine.{name} {set_to} needs {gb(needed)} of {what}, {gb(max(there, 0))} is there{each}: "
        f"use {name} <= {most}, or leave it out"
    )


def _count(engines: int) -> str:
    return f"{engines} engine{'s' * (engines > 1)}"


def gb(count: float) -> str:
    """Return bytes as people read them: 213 GB, 1.9 GB, 340 MB."""
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.{int(count < 1e10)}f} GB"
