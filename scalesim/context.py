"""Who is calling: the agent on whose behalf the current thread or task runs."""

from __future__ import annotations

import sys
from contextvars import Token
from typing import TYPE_CHECKING

from scalesim.caller import CallerIdentity, caller, identity_of

if TYPE_CHECKING:
    from scalesim.identity import AgentId


class agent:
    """Context manager, sync and async: calls made inside carry this agent's identity.

    Contexts nest, and each thread and task has its own. The OpenAI SDK is instrumented on the
    first use if it was imported before; frameworks built on it need no other line.

    Args:
        id: Agent id: 1 to 256 bytes of printable text, or an integer or UUID, which stand for
            their text.
        simulation: Namespace of the agent; by default that of `scalesim run`, else `default`.

    Raises:
        InvalidRequestError: A name is not valid.
    """

    def __init__(self, id: AgentId, simulation: str | None = None) -> None:
        from scalesim.environment import simulation_from_env
        from scalesim.identity import agent_text, check_simulation

        name = simulation_from_env() if simulation is None else simulation
        self.identity = identity_of(check_simulation(name), agent_text(id))
        self._tokens: list[Token[CallerIdentity | None]] = []

    def __enter__(self) -> CallerIdentity:
        if "openai" in sys.modules:
            from scalesim.integrations.openai import instrument_openai

            instrument_openai()
        self._tokens.append(caller.set(self.identity))
        return self.identity

    def __exit__(self, *error: object) -> None:
        caller.reset(self._tokens.pop())

    async def __aenter__(self) -> CallerIdentity:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)
