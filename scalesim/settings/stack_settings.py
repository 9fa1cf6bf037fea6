"""The whole stack: its ingress, its metrics, and all parts together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from scalesim.settings.common import Settings
from scalesim.settings.controller_settings import CatalogSettings, ControllerSettings
from scalesim.settings.engine_settings import EngineSettings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, never a default


class ApiKeySettings(Settings):
    """A key for some simulations; `controller.key_quotas` bounds what state they may have."""

    key: SecretStr = SecretStr("")
    """Sent as a bearer token; SCALESIM_API_KEYS keeps it out of files."""
    simulations: tuple[str, ...] = Field(min_length=1)
    """Those it is for, by name or pattern (`town-*`). Requests that name none are for the first
    one, where that is a plain name."""
    max_requests: int | None = Field(None, ge=1)
    """Most of its requests in flight in each process of the ingress, and of its traces; 429 beyond.
    None: as many as the stack takes."""


class EmbeddingsSettings(Settings):
    """A server of OpenAI's kind that makes the embeddings asked for here."""

    url: str = Field(pattern=r"^https?://")
    """Base URL of the server, with `/v1`."""
    api_key: SecretStr = SecretStr("")
    """Sent to it as a bearer token, where it needs one."""
    model: str = ""
    """What it is asked for, whatever a client names; empty asks for what the client named."""
    timeout_s: float = Field(60.0, gt=0)
    """Longest it may take to answer."""


class IngressSettings(Settings):
    """The HTTP ingress."""

    host: str = "127.0.0.1"
    """Address that it listens on; `0.0.0.0` takes requests from the network and needs a key."""
    port: int = Field(8080, ge=0, le=65535)
    """0 takes a free one."""
    api_key: SecretStr = SecretStr("")
    """Key of whoever operates the stack: it is for all simulations. Without it and `api_keys`
    `host` must be loopback."""
    api_keys: dict[str, ApiKeySettings] = Field(default_factory=dict)
    """Further keys by name, each for some simulations and with quotas of its own."""
    processes: int | None = Field(None, ge=1, le=32)
    """Take connections, all on one address; one that dies is replaced, and the others go on. Left
    out: 1 on two cores or fewer, else one for four cores, at least 2 and at most 8; on a cluster
    one a node, as many as there are when it is deployed."""
    max_body_bytes: int = Field(8 * 2**20, ge=1024)
    """Larger bodies are refused with 413: 8 MiB is about two million tokens of text."""
    max_header_bytes: int = Field(64 * 2**10, ge=1024)
    """Most bytes of a request's line and headers together; more is refused with 431."""
    header_timeout_s: float = Field(20.0, gt=0)
    """Longest a client may take from connecting to its last header; then it is answered 408."""
    body_timeout_s: float = Field(60.0, gt=0)
    """Longest a client may take to send a body, and to read on in an answer."""
    max_connections: int = Field(16_384, ge=1)
    """Connections at a time, or as many files as the process may open; further ones are answered
    503."""
    max_connections_per_address: int = Field(8_192, ge=1)
    """Connections of one client address; above the agents of the largest simulation that runs on
    one machine. Raise it where all clients come through one proxy."""
    request_timeout_s: float = Field(600.0, gt=0)
    """Longest a request waits for its first piece."""
    default_max_tokens: int | None = Field(None, ge=1)
    """Longest answer to a chat that names no length; None lets it fill its context. 512 where the
    model is `random` or `smollm2`, which may never end by themselves."""
    model_aliases: dict[str, str] = Field(default_factory=dict)
    """Other names of what is served, for clients that have one written into them, such as
    `gpt-4o-mini: scalesim`; `"*"` stands for every name that is not served."""
    embeddings: EmbeddingsSettings | None = None
    """Answers `/v1/embeddings`; None answers 501, which says how to set it."""
    cors_origins: tuple[str, ...] = ()
    """Web pages that may call from a browser, by origin (`https://town.example`); `*` for all."""
    max_queued_requests: int = Field(10_000, ge=-1)
    """Requests waiting past this are answered 503 at once."""


class MetricsSettings(Settings):
    """Metrics ports of the controller and the replicas, beside the ingress' `/metrics`."""

    host: str = "127.0.0.1"
    """Beyond loopback `ingress.api_key` is asked for, as everywhere."""
    controller_port: int = Field(0, ge=0, le=65535)
    """Port of the controller, which then leaves its figures out of the ingress'; 0 leaves them
    in."""
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


class LogSettings(Settings):
    """What ingress and replicas write into Ray Serve's logs."""

    format: Literal["text", "json"] = "text"
    """`json`: an object a line, by Ray Serve's own formatter."""
    identities: Literal["hashed", "named", "none"] = "hashed"
    """How simulation and agent stand in the line of a request that was refused or failed; hashed
    ones are the same in every line of every stack."""


class AutoscalingSettings(Settings):
    """How many engines, by the requests there are; names and delays are Ray Serve's own."""

    min_replicas: int = Field(1, ge=1)
    """Fewest engines."""
    max_replicas: int = Field(ge=1)
    """Most engines."""
    target_ongoing_requests: float = Field(gt=0)
    """Requests of one engine, those that wait among them: with more there are more engines."""
    upscale_delay_s: float = Field(30.0, ge=0)
    """How long there must be more requests before an engine is added."""
    downscale_delay_s: float = Field(600.0, ge=0)
    """How long there must be fewer requests before an engine goes, which takes its device and host
    tier along."""

    @model_validator(mode="after")
    def _in_order(self) -> AutoscalingSettings:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is above max_replicas: swap them")
        return self


class StackSettings(Settings):
    """Everything `scalesim up` needs."""

    engine: EngineSettings
    replicas: int = Field(1, ge=1)
    """Engines, each on `engine.tp_size` GPUs."""
    autoscaling: AutoscalingSettings | None = None
    """Takes the place of `replicas`."""
    engines_per_machine: int | None = Field(None, ge=1, le=100)
    """Most engines of one machine or pod, which share its memory. None: as many as it has GPUs or
    CPUs for, and no more than there are; name it where their number is to change as they run."""
    max_ongoing_requests: int = Field(256, ge=1)
    """Requests in one replica at a time; the engine queues and batches them."""
    cpus_per_replica: float = Field(0.5, ge=0)
    """What Ray sets aside for an engine's processes; they use what the GPU leaves them to do."""
    catalog: CatalogSettings = CatalogSettings()
    controller: ControllerSettings = ControllerSettings()
    ingress: IngressSettings = IngressSettings()
    metrics: MetricsSettings = MetricsSettings()
    logs: LogSettings = LogSettings()

    @property
    def fewest_replicas(self) -> int:
        """Fewest engines that run."""
        return self.autoscaling.min_replicas if self.autoscaling else self.replicas

    @property
    def most_replicas(self) -> int:
        """Most engines that run."""
        return self.autoscaling.max_replicas if self.autoscaling else self.replicas

    @model_validator(mode="after")
    def _can_grow(self) -> StackSettings:
        scaling = self.autoscaling
        if scaling and scaling.target_ongoing_requests > self.max_ongoing_requests:
            raise ValueError(
                "autoscaling.target_ongoing_requests is above max_ongoing_requests, which no "
                "engine ever has: lower it"
            )
        return self

    @model_validator(mode="after")
    def _keys_known(self) -> StackSettings:
        if unknown := self.controller.key_quotas.keys() - self.ingress.api_keys.keys():
            raise ValueError(
                f"controller.key_quotas has {min(unknown)!r}: ingress.api_keys has not"
            )
        return self
