"""How long a device takes: the one place that knows what card is emulated."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol

from scalesim.settings import EmulationSettings


class LinkSpeed(Enum):
    """What bytes travel on."""

    TO_DEVICE = "host to device"
    TO_HOST = "device to host"
    STORAGE = "storage"


class CopiedState(NamedTuple):
    """What one copy carries.

    Attributes:
        kind: Kind of payload.
        size: Bytes that are copied here; 0 where only those of the named model count.
        amount: Tokens of a prefix; how much of an adapter or of a model's weights.
        layers: Share of the model's layers that it is of.
    """

    kind: str
    size: int
    amount: float = 1.0
    layers: float = 1.0


class OnLink(NamedTuple):
    """What of a copy takes a link that all streams share, for how many seconds."""

    link: LinkSpeed
    seconds: float


class PassWork(NamedTuple):
    """One forward pass.

    Attributes:
        prefill_tokens: Tokens of prompts, computed in it.
        decode_requests: Requests that get one more token.
        context_tokens: Tokens that attention reads.
        attended: Pairs of a token that is computed and one that it attends to.
    """

    prefill_tokens: int
    decode_requests: int
    context_tokens: int
    attended: int = 0


class Times(Protocol):
    """How many seconds a stream is busy with each piece of work.

    Attributes:
        layers: Layers of the model whose times these are; 0 is as many as the engine's own has.
    """

    @property
    def layers(self) -> int:
        """Return how many layers."""
        ...

    def transfer_s(self, link: LinkSpeed, moved: CopiedState) -> float:
        """Return how long one copy takes."""
        ...

    def on_link(self, link: LinkSpeed, moved: CopiedState) -> OnLink | None:
        """Return what of a copy takes the link; None where each stream has one of its own."""
        ...

    def forward_s(self, work: PassWork) -> float:
        """Return how long a forward pass takes."""
        ...

    def launch_s(self, work: PassWork) -> float:
        """Return how long the processor is busy with starting a forward pass."""
        ...


class SetTimes:
    """Times that are set one by one."""

    layers = 0

    def __init__(self, settings: EmulationSettings) -> None:
        self._settings = settings
        self._bytes_per_s = {
            LinkSpeed.TO_DEVICE: settings.to_device_bytes_per_s,
            LinkSpeed.TO_HOST: settings.to_host_bytes_per_s,
            LinkSpeed.STORAGE: settings.storage_bytes_per_s,
        }

    def transfer_s(self, link: LinkSpeed, moved: CopiedState) -> float:
        """Return the time of the bytes on a link, and that of starting a copy."""
        return self._settings.transfer_s + moved.size / self._bytes_per_s[link]

    def on_link(self, link: LinkSpeed, moved: CopiedState) -> OnLink | None:
        """Return none: what is set one by one is of each stream alone."""
        return None

    def forward_s(self, work: PassWork) -> float:
        """Return the time of a pass, and that of the prompt tokens in it."""
        return self._settings.pass_s + work.prefill_tokens * self._settings.prefill_token_s

    def launch_s(self, work: PassWork) -> float:
        """Return none: what the processor really takes is enough."""
        return 0.0
