"""CrewAI: each agent's tasks ask for it, and a crew's tasks are in a known order."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.watching import before


def install_agents(module: ModuleType) -> None:
    """Let tasks act for the agent that carries them out."""
    for name in ("execute_task", "aexecute_task"):
        act_for(module.Agent, name, lambda self, *args, **kwargs: _name(self))


def install_crews(module: ModuleType) -> None:
    """Report the agents of a crew's tasks, in their order."""
    before(module.Crew, "_execute_tasks", _tell)


def _name(agent: Any) -> str:
    return str(agent.role).strip()


def _tell(self: Any, tasks: Sequence[Any], *args: Any, **kwargs: Any) -> None:
    names = [_name(task.agent) for task in tasks if task.agent is not None]
    begin_step(names[:1], upcoming=[[name] for name in names[1:]])
