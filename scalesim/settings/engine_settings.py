"""One engine: its model, tiers, adapters and fine-tunes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from scalesim.settings.common import Settings

Arm = Literal["stock", "hicache", "scalesim"]
"""What decides which state an engine keeps; benchmarks compare them on equal machines."""


class AdapterSettings(Settings):
    """LoRA adapters that requests may name as `model:adapter`."""

    roots: tuple[str, ...] = Field(min_length=1)
    """Folders whose subfolders are adapters; nothing outside of them is ever loaded."""
    slots: int = Field(8, ge=1)
    """Adapters on the device at a time."""
    loaded: int = Field(64, ge=1)
    """Adapters in host memory at a time: 64 of rank 16 for an 8B model are 5 GB, which come off the
    host tier."""
    max_rank: int = Field(64, ge=1)
    """Larger ones are refused; every slot is this large."""
    max_bytes: int = Field(2**30, ge=1)
    """Larger files are refused."""
    modules: tuple[str, ...] = ("all",)
    """Layers that adapters may change, in SGLang's names."""


class ModelSettings(Settings):
    """Fine-tunes of the engine's model that requests may name as `model`."""

    roots: tuple[str, ...] = Field(min_length=1)
    """Folders whose subfolders are models; nothing outside of them is ever loaded."""
    host_bytes: int | None = Field(None, ge=1)
    """Weights in host memory; None: half of what the engine's host tier would have. Its ranks share
    them. One model more is on the device."""
    max_bytes: int = Field(64 * 2**30, ge=1)
    """Larger ones are refused."""
    turn_requests: int = Field(64, ge=1)
    """Requests of one model that go ahead of those that wait for another, in one turn: a swap of
    an 8B model (0.6 s at 25 GB/s) is then a few percent of what those take."""


_SETTINGS_OF_ARGUMENTS = {
    "tp_size": "engine.tp_size",
    "tensor_parallel_size": "engine.tp_size",
    "max_total_tokens": "engine.device_tokens",
    "hicache_ratio": "engine.host_ratio",
    "hicache_size": "engine.host_bytes",
}
"""SGLang's arguments that are checked against the machine, and from which others follow."""


class EmulationSettings(Settings):
    """Times of a device that is emulated on a CPU; what is computed stays right.

    Copies and forward passes are under way for so long. Where no GPU is named, who reads what has
    not arrived reads something else, and who writes what is still read ends the engine.
    """

    gpu: str | None = None
    """One that `scalesim plan` knows, such as `h100`: its times take the place of those below."""
    model: str = "llama-3.1-8b"
    """The model whose bytes and arithmetic give the GPU's times, whatever small model answers."""
    dilate: float = Field(8.0, ge=1.0)
    """A second of the GPU takes so many here: what the processor itself needs then counts for
    little. Reports of `scalesim sim run` are divided by it."""
    calibration: dict[str, float] = Field(default_factory=dict)
    """Measured values of `scalesim plan`'s calibration in place of the assumed ones."""
    adapter_bytes: float = Field(336e6, gt=0)
    """Bytes of one adapter: rank 64 on all linear layers of an 8B model in bf16."""
    to_device_bytes_per_s: float = Field(25e9, gt=0)
    """Host memory to device: half of what PCIe 5 carries."""
    to_host_bytes_per_s: float = Field(25e9, gt=0)
    """Device to host memory, likewise."""
    storage_bytes_per_s: float = Field(5e9, gt=0)
    """An NVMe disk."""
    transfer_s: float = Field(20e-6, ge=0)
    """Seconds to start any copy; each layer of a load is one."""
    pass_s: float = Field(0.01, ge=0)
    """A forward pass without prompt tokens."""
    prefill_token_s: float = Field(3e-5, ge=0)
    """Seconds for each prompt token of a pass."""

    @classmethod
    def of(cls, named: str, dilate: float) -> EmulationSettings:
        """Return those of a GPU with a model, named as `h100` or `h100:llama-3.1-8b`."""
        gpu, _, model = named.partition(":")
        return cls(gpu=gpu, dilate=dilate, **({"model": model} if model else {}))


class EngineSettings(Settings):
    """One SGLang engine."""

    model_path: str
    """Folder of the model, or its name on the hub."""
    served_model_name: str = "scalesim"
    """What requests call the model."""
    arm: Arm = "scalesim"
    """`stock`: no host tier. `hicache`: SGLang's host tier, LRU. `scalesim`: ours over HiCache."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """`auto`: GPUs where the Ray cluster has some, whatever the machine that starts it has."""
    tp_size: int = Field(1, ge=1)
    """Tensor-parallel ranks: GPUs of one engine, all of one machine."""
    dtype: str = "auto"
    """Type of weights and KV, in SGLang's names; `auto` takes the model's own, on a CPU float32."""
    page_size: int = Field(16, ge=1)
    """Tokens a page: SGLang's HiCache moves whole pages; 16 keeps waste under 2% of a 1k prompt."""
    device_tokens: int | None = Field(None, ge=64)
    """KV tokens in GPU memory; None: as many as SGLang finds room for; 16,384 on a CPU."""
    host_share: float = Field(0.7, gt=0.0, le=0.95)
    """Share of the machine's or container's memory, what the host tiers of all engines on it take
    together; the rest is left free. `host_bytes` or `host_ratio` take its place."""
    host_bytes: int | None = Field(None, ge=2**20)
    """Host tier of one engine."""
    host_ratio: float | None = Field(None, ge=0.0)
    """Host tier as a multiple of the device tier, to compare engines of equal tiers."""
    storage_dir: str | None = None
    """Folder of the storage tier; None leaves it out. Replicas on one machine may share it."""
    storage_bytes: int | None = Field(None, ge=2**20)
    """Most bytes a replica keeps there; what the farthest agent has leaves first. None: its part of
    80% of the disk."""
    storage_backend: str | None = None
    """Keeps the storage tier in place of `storage_dir`: any backend of SGLang, by its name. Its own
    rules say what leaves it; `storage_bytes` is then how much of it a replica remembers."""
    storage_options: dict[str, Any] = Field(default_factory=dict)
    """Options of `storage_backend`: SGLang's `hicache_storage_backend_extra_config`."""
    adapters: AdapterSettings | None = None
    """None serves the bare model only."""
    models: ModelSettings | None = None
    """None serves `model_path` only."""
    payloads: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of payload kinds that installed packages bring, by kind; each reads its own."""
    context_length: int | None = Field(None, ge=16)
    """Most tokens of a prompt with its answer; None takes the model's own."""
    max_running_requests: int | None = Field(None, ge=1)
    """Most requests in one batch; None lets SGLang decide."""
    reserve_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of device and host tier the planner leaves to running requests' new tokens."""
    log_level: str = "error"
    """Level of the engine's own log."""
    emulation: EmulationSettings | None = None
    """Emulates a device that takes time, on a CPU, for tests; None: everything is done at once."""
    extra_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to SGLang's `ServerArgs` last, for everything not named here."""

    @model_validator(mode="after")
    def _set_once(self) -> EngineSettings:
        if self.host_bytes is not None and self.host_ratio is not None:
            raise ValueError("host_bytes and host_ratio both size the host tier: give one")
        for name in self.extra_args.keys() & _SETTINGS_OF_ARGUMENTS.keys():
            raise ValueError(f"extra_args has {name}: set {_SETTINGS_OF_ARGUMENTS[name]} instead")
        return self
