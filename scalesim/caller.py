"""The agent on whose behalf the current thread or task calls."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from scalesim import headers


class CallerIdentity(NamedTuple):
    """One agent of one simulation."""

    simulation: str
    agent: str


caller: ContextVar[CallerIdentity | None] = ContextVar("scalesim_agent", default=None)
"""Set by `scalesim.agent`; None outside of any."""


def current() -> CallerIdentity | None:
    """Return the agent of the innermost context, or None outside of any."""
    return caller.get()


def current_headers() -> dict[str, str]:
    """Return the identity headers of the innermost context; empty outside of any."""
    identity = caller.get()
    return headers.identity(*identity) if identity else {}
