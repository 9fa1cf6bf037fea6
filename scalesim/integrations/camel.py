"""CAMEL: a `ChatAgent`'s calls carry its identity; two who play roles take turns."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.watching import before

_ASKS = ("_step_impl", "_astep_non_streaming_task", "_stream", "_astream")
"""Methods below `step` and `astep`: those two are wrapped by observers, and end before their
streams."""


def install(module: ModuleType) -> None:
    """Let the steps of all chat agents act for them."""
    for name in _ASKS:
        act_for(module.ChatAgent, name, lambda self, *args, **kwargs: agent_id(self))


def install_role_playing(module: ModuleType) -> None:
    """Report that who instructs is answered by the other, in this exchange and the next."""
    for name in ("step", "astep"):
        before(module.RolePlaying, name, _tell)


def agent_id(agent: Any) -> str:
    """Return an agent's name: OASIS's number of a user, else its role and its own id."""
    number = getattr(agent, "social_agent_id", None)
    if number is not None:
        return f"user {number}"
    return f"{agent.role_name} {agent.agent_id}"


def _tell(self: Any, *args: Any, **kwargs: Any) -> None:
    pair = [agent_id(agent) for agent in (self.user_agent, self.assistant_agent)]
    begin_step(order=pair, upcoming=[pair])
