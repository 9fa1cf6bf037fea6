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


class PassWork(NamedTuple):
    """One forward pass.

    Attributes:
        prefill_tokens: Of prompts, computed in it.
        decode_requests: That get one more token.
        context_tokens: That attention reads.
    """

    prefill_tokens: int
    decode_requests: int
    context_tokens: int


class Times(Protocol):
    """Seconds that a stream is busy."""

    def transfer_s(self, link: LinkSpeed, size: int) -> float:
        """Return how long one copy of so many bytes takes."""
        ...

    def forward_s(self, work: PassWork) -> float:
        """Return how long a forward pass takes."""
        ...


class SetTimes:
    """Times that are set one by one."""

    def __init__(self, settings: EmulationSettings) -> None:
        self._settings = settings
        self._bytes_per_s = {
            LinkSpeed.TO_DEVICE: settings.to_device_bytes_per_s,
            LinkSpeed.TO_HOST: settings.to_host_bytes_per_s,
            LinkSpeed.STORAGE: settings.storage_bytes_per_s,
        }

    def transfer_s(self, link: LinkSpeed, size: int) -> float:
        """Return the time of the bytes on a link, and that of starting a copy."""
        return self._settings.transfer_s + size / self._bytes_per_s[link]

    def forward_s(self, work: PassWork) -> float:
        """Return the time of a pass, and that of the prompt tokens in it."""
        return self._settings.pass_s + work.prefill_tokens * self._settings.prefill_token_s
