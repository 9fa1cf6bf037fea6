"""HTTP headers between a simulation and the stack: names, and how their values are written."""

from __future__ import annotations

import hmac
from typing import NamedTuple
from urllib.parse import quote

AGENT = "X-Agent-Id"
"""Agent id, percent-encoded UTF-8 where it is not ASCII."""
SIMULATION = "X-Simulation-Id"
NEXT_USE = "X-Agent-Next-Use"
"""Steps from now to the agent's next call, as a float."""
STEP = "X-Agent-Step"
"""Step that a call belongs to: of a simulation's calls that wait, the earliest go first."""
ADAPTER = "X-Agent-Adapter"
"""Id of the LoRA adapter that answers, where the model's name has none."""

REQUEST_ID = "X-Request-Id"
"""Names a request in the logs of its client: taken, or made, and returned."""

RESIDENCY = "x-scalesim-residency"
"""Coldest tier that had to be read: `device`, `host`, `storage`, or `miss`."""
REPLICA = "x-scalesim-replica"
CACHED_TOKENS = "x-scalesim-cached-tokens"
"""E.g. `prompt=800, device=704, host=0, storage=0`."""

_VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


def identity(
    simulation: str,
    agent: str,
    next_use: float | None = None,
    adapter: str = "",
    step: int | None = None,
) -> dict[str, str]:
    """Return the headers that say who is calling (names already checked)."""
    headers = {AGENT: _written(agent), SIMULATION: simulation}
    if next_use is not None:
        headers[NEXT_USE] = f"{next_use:g}"
    if step is not None:
        headers[STEP] = str(step)
    if adapter:
        headers[ADAPTER] = adapter
    return headers


def _written(agent: str) -> str:
    """Return an agent's id as a header's value, which can neither begin nor end with a space."""
    has_outer_space = agent[:1] == " " or agent[-1:] == " "
    if agent.isascii() and agent.isprintable() and "%" not in agent and not has_outer_space:
        return agent  # as most are
    return quote(agent, safe=_VISIBLE_ASCII if has_outer_space else f" {_VISIBLE_ASCII}")


def bearer(authorization: str) -> str:
    """Return the token in the value of an Authorization header; empty where there is none."""
    scheme, _, given = authorization.partition(" ")
    return given if scheme.lower() == "bearer" else ""


def bears(authorization: str, key: str) -> bool:
    """Return whether the value of an Authorization header is the key as a bearer token."""
    return hmac.compare_digest(bearer(authorization).encode(), key.encode())


class CachedTokens(NamedTuple):
    """Where a call's prompt tokens were found; what is in no tier was recomputed."""

    prompt: int = 0
    device: int = 0
    host: int = 0
    storage: int = 0

    def __str__(self) -> str:
        """Return the header value."""
        return ", ".join(f"{name}={count}" for name, count in self._asdict().items())

    @property
    def residency(self) -> str:
        """Coldest tier that had to be read: `device`, `host` or `storage`; else `miss`."""
        tiers = {"storage": self.storage, "host": self.host, "device": self.device}
        return next((tier for tier, tokens in tiers.items() if tokens), "miss")

    @classmethod
    def parse(cls, value: str) -> CachedTokens:
        """Return the counts in a header value; a count that is absent is 0."""
        pairs = (part.strip().split("=", 1) for part in value.split(",") if "=" in part)
        counts = {name: int(count) for name, count in pairs}
        return cls(*(counts.get(name, 0) for name in cls._fields))
