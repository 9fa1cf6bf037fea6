"""How a simulation reaches the stack."""

from __future__ import annotations

from pydantic import Field, SecretStr

from scalesim.settings.common import Settings
from scalesim.settings.controller_settings import ControllerSettings


class ClientSettings(Settings):
    """How a simulation reaches the stack."""

    base_url: str = "http://127.0.0.1:8080"
    """Where the stack listens, without `/v1`."""
    api_key: SecretStr = SecretStr("")
    """Sent as a bearer token; the key the stack was started with."""
    timeout_s: float = Field(2.0, gt=0)
    """Timeout of control calls (distances); inference calls keep their own client's."""
    flush_interval_s: float = Field(0.02, gt=0)
    """Hints given one by one are sent together after at most this long."""
    buffer_rows: int = Field(100_000, ge=1)
    """Hints kept while the stack is away; past it new ones are dropped and counted."""
    controller: ControllerSettings = ControllerSettings()
    """Which actor to call when the simulation runs inside the stack's Ray cluster."""
