"""AgentSociety 2: calls carry the identity of the agent, router or helper, in Ray's tasks too.

Every agent asks in every step, however long the plans of its list of things to do take: batches of
them go out in their order. The environment's router, which makes most calls, is pinned.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, pin
from scalesim.integrations.watching import before

_ROUTER, _HELPER = "router", "helper"


def install_agents(module: ModuleType) -> None:
    """Patch agents, so that their calls carry their identity."""
    for name in ("run_react_loop", "acompletion"):
        act_for(module.AgentBase, name, _of_agent)


def install_persons(module: ModuleType) -> None:
    """Patch persons' memories, so that their calls carry the person's identity."""
    for name in ("step", "ask"):
        act_for(module.PersonAgent, name, _of_agent)


def install_routers(module: ModuleType) -> None:
    """Patch routers: their calls carry their identity; pins them, as all agents wait for them."""
    act_for(module.RouterBase, "acompletion", lambda self, *args, **kwargs: _ROUTER)
    before(module.RouterBase, "init", lambda self, *args, **kwargs: pin(_ROUTER))


def install_helpers(module: ModuleType) -> None:
    """Patch the helper that answers questions about the society: it gets an identity."""
    act_for(module.AgentSocietyHelper, "_run", lambda self, *args, **kwargs: _HELPER)


def install_societies(module: ModuleType) -> None:
    """Report who acts in a step, in the order of the batches."""

    def tell(self: Any, *args: Any, **kwargs: Any) -> None:
        names = [_name(number) for number in self.agent_ids]
        begin_step(order=names, upcoming=[names])

    before(module.AgentSociety, "step", tell)


def _of_agent(agent: Any, *args: Any, **kwargs: Any) -> str:
    return _name(agent.id)


def _name(number: int) -> str:
    return f"agent {number}"
