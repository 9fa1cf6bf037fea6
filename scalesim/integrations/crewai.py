"""CrewAI: each agent's tasks ask for it, and a crew's tasks are in a known order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.watching import before

_AHEAD = "_scalesim_ahead"
"""Attribute of a task: the names of its agent and of the agents of the tasks after it."""

_LATER = ("aexecute_task", "kickoff", "kickoff_async", "akickoff")
"""Methods of an agent, with tasks or without, that the first versions do not all have."""


def install_agents(module: ModuleType) -> None:
    """Let agents act for themselves, with a task of a crew or without one."""
    for name in ("execute_task", *filter(partial(hasattr, module.Agent), _LATER)):
        act_for(module.Agent, name, lambda self, *args, **kwargs: _name(self))


def install_tasks(module: ModuleType) -> None:
    """Report each task of a crew as it begins, and those after it.

    What tasks ask beside their agent, to convert its answer or to check it, acts for it.
    """
    for name in ("_execute_core", "_aexecute_core"):
        if hasattr(module.Task, name):
            before(module.Task, name, _tell)
            act_for(module.Task, name, _of_task)


def install_crews(module: ModuleType) -> None:
    """Note in a crew's tasks whose turn comes after each of them."""
    for name in ("_execute_tasks", "_aexecute_tasks"):
        if hasattr(module.Crew, name):
            before(module.Crew, name, _note)


def _name(agent: Any) -> str:
    return str(agent.role).strip()


def _of_task(task: Any, agent: Any = None, *args: Any, **kwargs: Any) -> str | None:
    acts = agent or task.agent
    return None if acts is None else _name(acts)


def _note(self: Any, tasks: Sequence[Any], *args: Any, **kwargs: Any) -> None:
    agents = [self._get_agent_to_use(task) for task in tasks]
    names = ["" if agent is None else _name(agent) for agent in agents]
    for place, task in enumerate(tasks):
        setattr(task, _AHEAD, names[place:])


def _tell(task: Any, *args: Any, **kwargs: Any) -> None:
    if ahead := getattr(task, _AHEAD, ()):
        begin_step(ahead[:1], upcoming=[[name] for name in ahead[1:]])
