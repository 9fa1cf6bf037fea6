"""AgentScope: an agent's calls carry its identity; its pipelines say who comes next."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, pin
from scalesim.integrations.watching import before


def install(module: ModuleType) -> None:
    """Patch replies and memory, so that their calls carry the agent's identity."""
    for name in ("_reply", "compress_context", "observe"):
        act_for(module.Agent, name, lambda self, *args, **kwargs: self.name)


def install_teams(module: ModuleType) -> None:
    """Report the members that a leader gives tasks to; it comes after them, and is pinned."""
    before(module.TeamPipeline, "_run_assignments", _tell_members)


def install_goals(module: ModuleType) -> None:
    """Report that an executor is followed by its verifier."""
    before(module.GoalPipeline, "reply_stream", _tell_goal)


def _tell_members(self: Any, tool_calls: Sequence[Any], *args: Any, **kwargs: Any) -> None:
    leader = self.leader.name
    pin(leader)
    members = dict.fromkeys(self._parse(call)["member"] for call in tool_calls)
    begin_step(members, upcoming=[[leader]])


def _tell_goal(self: Any, *args: Any, **kwargs: Any) -> None:
    executor, verifier = self.executor.name, self.verifier.name
    begin_step([executor], upcoming=[[verifier], [executor]])
