"""AgentScope: an agent's calls carry its identity; its pipelines say who comes next."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, pin
from scalesim.integrations.watching import before

_AFTER = "_scalesim_after"
"""Attribute of an agent in a pipeline of two: the name of the other, who acts after it."""


def install(module: ModuleType) -> None:
    """Patch replies and memory, so that their calls carry the agent's identity."""
    for name in ("_reply", "compress_context", "observe"):
        act_for(module.Agent, name, lambda self, *args, **kwargs: self.name)
    before(module.Agent, "reply_stream", _tell_turn)


def install_teams(module: ModuleType) -> None:
    """Report the members that a leader gives tasks to; it comes after them, and is pinned."""
    before(module.TeamPipeline, "_run_assignments", _tell_members)


def install_goals(module: ModuleType) -> None:
    """Note that an executor is followed by its verifier, and by itself where that finds faults."""
    before(module.GoalPipeline, "reply_stream", _note_turns)


def _tell_members(self: Any, tool_calls: Sequence[Any], *args: Any, **kwargs: Any) -> None:
    leader = self.leader.name
    pin(leader)
    members = dict.fromkeys(self._parse(call)["member"] for call in tool_calls)
    begin_step(members, upcoming=[[leader]])


def _note_turns(self: Any, *args: Any, **kwargs: Any) -> None:
    setattr(self.executor, _AFTER, self.verifier.name)
    setattr(self.verifier, _AFTER, self.executor.name)


def _tell_turn(self: Any, *args: Any, **kwargs: Any) -> None:
    if after := getattr(self, _AFTER, ""):
        begin_step([self.name], upcoming=[[after], [self.name]])
