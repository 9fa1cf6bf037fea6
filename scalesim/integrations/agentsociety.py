"""AgentSociety 2: agents ask for themselves in Ray's tasks, its router and its helper for all.

Every agent has its turn in every step. The environment's router, which most calls come from, stays.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, pin
from scalesim.integrations.watching import before

_ROUTER, _HELPER = "router", "helper"


def install_agents(module: ModuleType) -> None:
    """Let agents reason and complete for themselves."""
    for name in ("run_react_loop", "acompletion"):
        act_for(module.AgentBase, name, _of_agent)


def install_persons(module: ModuleType) -> None:
    """Let persons keep their memories for themselves."""
    for name in ("step", "ask"):
        act_for(module.PersonAgent, name, _of_agent)


def install_routers(module: ModuleType) -> None:
    """Let routers ask for themselves, and keep what all wait for."""
    act_for(module.RouterBase, "acompletion", lambda self, *args, **kwargs: _ROUTER)
    before(module.RouterBase, "init", lambda self, *args, **kwargs: pin(_ROUTER))


def install_helpers(module: ModuleType) -> None:
    """Let what answers questions about the whole society ask for itself."""
    act_for(module.AgentSocietyHelper, "_run", lambda self, *args, **kwargs: _HELPER)


def install_societies(module: ModuleType) -> None:
    """Report who acts in a step."""

    def tell(self: Any, *args: Any, **kwargs: Any) -> None:
        names = [_name(number) for number in self.agent_ids]
        begin_step(names, upcoming=[names])

    before(module.AgentSociety, "step", tell)


def _of_agent(agent: Any, *args: Any, **kwargs: Any) -> str:
    return _name(agent.id)


def _name(number: int) -> str:
    return f"agent {number}"
