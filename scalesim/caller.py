"""The agent on whose behalf the current thread or task calls."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from scalesim import headers


class CallerIdentity(NamedTuple):
    """One agent of one simulation.

    Attributes:
        simulation: Checked name.
        agent: Checked id.
        adapter: Id of the adapter that answers it; empty where the stack decides.
    """

    simulation: str
    agent: str
    adapter: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of its requests."""
        return headers.identity(self.simulation, self.agent, adapter=self.adapter)


adapters: dict[tuple[str, str], str] = {}
"""Adapters of this process's agents, by simulation and agent; see `Simulation.adapter`."""


def identity_of(simulation: str, agent: str) -> CallerIdentity:
    """Return an agent with the adapter that it was given (names already checked)."""
    return CallerIdentity(simulation, agent, adapters.get((simulation, agent), ""))


caller: ContextVar[CallerIdentity | None] = ContextVar("scalesim_agent", default=None)
"""Set by `scalesim.agent`; None outside of any."""


def current() -> CallerIdentity | None:
    """Return the agent of the innermost context, or None outside of any."""
    return caller.get()


def current_headers() -> dict[str, str]:
    """Return the identity headers of the innermost context; empty outside of any."""
    identity = caller.get()
    return identity.headers if identity else {}
