"""All configuration in one typed place; `scalesim.environment` reads what is not in a file.

Every default states its unit and its reason. Unknown names and bad values raise
`ConfigurationError` at start-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from scalesim.errors import ConfigurationError

Arm = Literal["stock", "hicache", "scalesim"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, never a default


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class AdapterSettings(Settings):
    """LoRA adapters that requests may name as `model:adapter`."""

    roots: tuple[str, ...] = Field(min_length=1)
    """Folders whose subfolders are adapters; nothing outside of them is ever loaded."""
    slots: int = Field(8, ge=1)
    """Adapters on the device at a time."""
    loaded: int = Field(64, ge=1)
    """Adapters in host memory at a time: 64 of rank 16 for an 8B model are 5 GB."""
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
    """Weights in host memory, of each rank; None: half of what the engine's host tier would have,
    divided by its ranks. One model more is on the device."""
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

    Copies and forward passes are under way for so long; who reads what has not arrived reads
    something else, and who writes what is still read ends the engine.
    """

    to_device_bytes_per_s: float = Field(25e9, gt=0)
    """Host memory to device: half of what PCIe 5 carries."""
    to_host_bytes_per_s: float = Field(25e9, gt=0)
    """Device to host memory, likewise."""
    storage_bytes_per_s: float = Field(5e9, gt=0)
    """An NVMe disk."""
    transfer_s: float = Field(20e-6, ge=0)
    """To start any copy; each layer of a load is one."""
    pass_s: float = Field(0.01, ge=0)
    """A forward pass without prompt tokens."""
    prefill_token_s: float = Field(3e-5, ge=0)
    """For each prompt token in it."""


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
    """Of weights and KV, in SGLang's names; `auto` takes the model's own, on a CPU float32."""
    page_size: int = Field(16, ge=1)
    """Tokens a page: SGLang's HiCache moves whole pages; 16 keeps waste under 2% of a 1k prompt."""
    device_tokens: int | None = Field(None, ge=64)
    """KV tokens in GPU memory; None: as many as SGLang finds room for; 16,384 on a CPU."""
    host_share: float = Field(0.7, gt=0.0, le=0.95)
    """Of the machine's or container's memory, what the host tiers of all engines on it take
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
    """Of `storage_backend`: SGLang's `hicache_storage_backend_extra_config`."""
    adapters: AdapterSettings | None = None
    """None serves the bare model only."""
    models: ModelSettings | None = None
    """None serves `model_path` only."""
    context_length: int | None = Field(None, ge=16)
    """Most tokens of a prompt with its answer; None takes the model's own."""
    max_running_requests: int | None = Field(None, ge=1)
    """Most requests in one batch; None lets SGLang decide."""
    reserve_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of device and host tier the planner leaves to running requests' new tokens."""
    log_level: str = "error"
    """Of the engine's own log."""
    emulation: EmulationSettings | None = None
    """Emulates a device that takes time, on a CPU, for tests; None: everything is done at once."""
    extra_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to SGLang's `ServerArgs` last, for everything not named here."""

    @model_validator(mode="after")
    def _told_once(self) -> EngineSettings:
        if self.host_bytes is not None and self.host_ratio is not None:
            raise ValueError("host_bytes and host_ratio both size the host tier: give one")
        for name in self.extra_args.keys() & _SETTINGS_OF_ARGUMENTS.keys():
            raise ValueError(f"extra_args has {name}: set {_SETTINGS_OF_ARGUMENTS[name]} instead")
        return self


class CatalogSettings(Settings):
    """Where the catalog is kept; an empty URL starts a private embedded server."""

    url: SecretStr = SecretStr("")
    """`redis://`, `rediss://` or `unix://`; may carry an ACL user and password."""
    data_dir: str | None = None
    """Folder of the embedded server's data; None keeps it for the life of the stack only."""
    timeout_s: float = Field(0.25, gt=0)
    """Per command: the controller must never wait on Redis longer than a plan takes."""
    retries: int = Field(2, ge=0)
    """Of a command that was not answered, before the batch is given back."""
    flush_interval_s: float = Field(0.25, gt=0)
    """Write-behind period: at most this much residency is a hint after a crash."""
    flush_rows: int = Field(10_000, ge=1)
    """Rows in one flush, 1 MB: fits the timeout. Others wait in the agent table; newest wins."""
    namespace: str = "scalesim"
    """Prefix of every key."""


class ControllerSettings(Settings):
    """The central actor."""

    name: str = "scalesim-controller"
    """Of the actor; two stacks in one Ray cluster need two."""
    namespace: str = "scalesim"
    """Ray namespace of the detached actor."""
    tick_s: float = Field(0.05, gt=0)
    """Longest time between a change and the plan that sees it."""
    distance_ttl_steps: float = Field(16.0, gt=0)
    """A use that did not come is forgotten this many steps after the one it was foreseen for."""
    quotas: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Largest share of each tier of each replica a simulation may fill ahead of its requests, by
    its name; those not named share what there is."""
    leveling_moves: int = Field(256, ge=0)
    """Agents moved at most, four times a second, so that no replica makes a step wait; 0 leaves
    all where hashing puts them."""
    simulations_per_key: int = Field(1024, ge=1)
    """Simulations alive at a time that were told of over HTTP with one API key. Of the 4,096 in all
    it leaves most to others, those inside the Ray cluster among them."""
    max_agents: int = Field(4_000_000, ge=1)
    """Reports of further agents are ignored and counted: about 700 MB of tables."""
    simulation_lease_s: float = Field(300.0, gt=0)
    """A simulation silent for this long loses its distances and pins."""
    replica_lease_s: float = Field(10.0, gt=0)
    """A replica that has not polled for this long is planned around."""
    poll_timeout_s: float = Field(5.0, gt=0)
    """Longest a long poll is held open."""


class IngressSettings(Settings):
    """The HTTP edge."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    api_key: SecretStr = SecretStr("")
    """Required unless `host` is loopback."""
    max_body_bytes: int = Field(8 * 2**20, ge=1024)
    """Larger bodies are refused with 413: 8 MiB is about two million tokens of text."""
    max_header_bytes: int = Field(64 * 2**10, ge=1024)
    """Of a request's line and headers together; more is refused with 431."""
    header_timeout_s: float = Field(20.0, gt=0)
    """Longest a client may take from connecting to its last header; then it is told 408."""
    body_timeout_s: float = Field(60.0, gt=0)
    """Longest a client may take to send a body, and to read on in an answer."""
    max_connections: int = Field(16_384, ge=1)
    """At a time, or as many files as the process may open; further ones are answered 503."""
    max_connections_per_address: int = Field(8_192, ge=1)
    """Of one client address; above the agents of the largest simulation that runs on one machine.
    Raise it where all clients come through one proxy."""
    request_timeout_s: float = Field(600.0, gt=0)
    """Longest a request waits for its first piece."""
    max_queued_requests: int = Field(10_000, ge=-1)
    """Requests waiting past this are answered 503 at once."""


class MetricsSettings(Settings):
    """Where controller and replicas answer scrapes themselves, beside the ingress' `/metrics`."""

    host: str = "127.0.0.1"
    """Beyond loopback `ingress.api_key` is asked for, as everywhere."""
    controller_port: int = Field(0, ge=0, le=65535)
    """Of the controller, which then leaves its figures out of the ingress'; 0 leaves them in."""
    replica_port: int = Field(0, ge=0, le=65535 - 15)
    """Each replica takes the first free one of this and the 15 above it, as many as a machine has
    GPUs; 0 for none. Which one it took is in the stack's status."""

    @property
    def controller_ports(self) -> range:
        """The controller's one port, or none."""
        return range(self.controller_port, self.controller_port + bool(self.controller_port))

    @property
    def replica_ports(self) -> range:
        """What replicas of one machine choose from."""
        return range(self.replica_port, self.replica_port + 16 * bool(self.replica_port))

    @model_validator(mode="after")
    def _apart(self) -> MetricsSettings:
        if self.controller_port in self.replica_ports:
            raise ValueError("controller_port is one that replicas take: set it below or 16 above")
        return self


class StackSettings(Settings):
    """Everything `scalesim up` needs."""

    engine: EngineSettings
    replicas: int = Field(1, ge=1)
    """Engines, each on `engine.tp_size` GPUs."""
    max_ongoing_requests: int = Field(256, ge=1)
    """Requests in one replica at a time; the engine queues and batches them."""
    cpus_per_replica: float = Field(0.5, ge=0)
    """What Ray sets aside for an engine's processes; they use what the GPU leaves them to do."""
    catalog: CatalogSettings = CatalogSettings()
    controller: ControllerSettings = ControllerSettings()
    ingress: IngressSettings = IngressSettings()
    metrics: MetricsSettings = MetricsSettings()


class ClientSettings(Settings):
    """How a simulation reaches the stack."""

    base_url: str = "http://127.0.0.1:8080"
    api_key: SecretStr = SecretStr("")
    timeout_s: float = Field(2.0, gt=0)
    """For control calls (distances); inference calls keep their own client's timeout."""
    flush_interval_s: float = Field(0.02, gt=0)
    """Hints given one by one are sent together after at most this long."""
    buffer_rows: int = Field(100_000, ge=1)
    """Hints kept while the stack is away; past it new ones are dropped and counted."""
    controller: ControllerSettings = ControllerSettings()
    """Which actor to call when the simulation runs inside the stack's Ray cluster."""


def load(model: type[Settings], values: Mapping[str, Any]) -> Any:
    """Return `model` built from plain values.

    Raises:
        ConfigurationError: A name is unknown or a value is out of range; names every field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = "; ".join(
            f"{'.'.join(str(part) for part in e['loc']) or model.__name__}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"settings are not valid: {lines}. See scalesim/settings.py for names and units"
        ) from None
