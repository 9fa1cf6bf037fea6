"""Who is calling: the agent on whose behalf the current thread or task runs."""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, NamedTuple

from scalesim import headers

if TYPE_CHECKING:
    from scalesim.identity import AgentId


class CallerIdentity(NamedTuple):
    """One agent of one simulation."""

    simulation: str
    agent: str


_current: ContextVar[CallerIdentity | None] = ContextVar("scalesim_agent", default=None)


class agent:
    """Context manager, sync and async: calls made inside carry this agent's identity.

    Contexts nest, and each thread and task has its own. The OpenAI SDK is instrumented on the
    first use if it was imported before; frameworks built on it need no other line.

    Args:
        id: Agent id: 1 to 256 bytes of printable text, or an integer or UUID, which stand for
            their text.
        simulation: Namespace of the agent.

    Raises:
        InvalidRequestError: A name is not valid.
    """

    def __init__(self, id: AgentId, simulation: str = "default") -> None:
        from scalesim.identity import agent_text, check_simulation

        self.identity = CallerIdentity(check_simulation(simulation), agent_text(id))
        self._tokens: list[Token[CallerIdentity | None]] = []

    def __enter__(self) -> CallerIdentity:
        if "openai" in sys.modules:
            from scalesim.integrations.openai import instrument_openai

            instrument_openai()
        self._tokens.append(_current.set(self.identity))
        return self.identity

    def __exit__(self, *error: object) -> None:
        _current.reset(self._tokens.pop())

    async def __aenter__(self) -> CallerIdentity:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)


def current() -> CallerIdentity | None:
    """Return the agent of the innermost context, or None outside of any."""
    return _current.get()


def current_headers() -> dict[str, str]:
    """Return the identity headers of the innermost context; empty outside of any."""
    identity = _current.get()
    return headers.identity(*identity) if identity else {}
