"""OASIS: a step of the environment names all who act in it before the first of them does.

Later steps cannot be drawn ahead: the program draws them, from Python's generator in OASIS's own
programs, from which feeds draw in between as often as the answers have it. Where profiles have
OASIS's chances to act, `active_threshold` by the hour, those say how often a user acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.camel import agent_id
from scalesim.integrations.current_run import act_at_rates, begin_step
from scalesim.integrations.watching import after, before


def install(module: ModuleType) -> None:
    """Report whose actions a step asks the model for, in their order, and how often users act."""

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
    after(module.OasisEnv, "reset", _tell_rates)


def install_agents(module: ModuleType) -> None:
    """Let interviews, which pass CAMEL's steps by, act for who is asked."""
    for name in ("perform_interview", "perform_test"):
        act_for(module.SocialAgent, name, lambda self, *args, **kwargs: agent_id(self))


def _tell_rates(result: None, self: Any) -> None:
    users = self.agent_graph.agent_mappings.values()
    act_at_rates({agent_id(user): chance for user in users if (chance := _chance(user)) > 0})


def _chance(user: Any) -> float:
    """Return a user's chance to act in a step, in the mean of all hours; 0 where it has none."""
    about = (user.user_info.profile or {}).get("other_info") or {}
    return fmean(about.get("active_threshold") or [0.0])
