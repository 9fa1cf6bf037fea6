"""OASIS: a step of the environment names all who act in it before the first of them does."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.camel import agent_id
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.watching import before


def install(module: ModuleType) -> None:
    """Report whose actions a step asks the model for, in their order."""

    def tell(self: Any, actions: Mapping[Any, Any]) -> None:
        begin_step(order=[agent_id(agent) for agent in actions if _asks(actions[agent])])

    def _asks(action: Any) -> bool:
        several = action if isinstance(action, list) else [action]
        return any(
            isinstance(one, module.LLMAction)
            or getattr(one, "action_type", None) is module.ActionType.INTERVIEW
            for one in several
        )

    before(module.OasisEnv, "step", tell)


def install_agents(module: ModuleType) -> None:
    """Let interviews, which pass CAMEL's steps by, act for who is asked."""
    for name in ("perform_interview", "perform_test"):
        act_for(module.SocialAgent, name, lambda self, *args, **kwargs: agent_id(self))
