"""AgentScope: an agent's calls carry its identity."""

from __future__ import annotations

from types import ModuleType

from scalesim.integrations.acting import act_for


def install(module: ModuleType) -> None:
    """Patch replies and memory, so that their calls carry the agent's identity."""
    for name in ("_reply", "compress_context", "observe"):
        act_for(module.Agent, name, lambda self, *args, **kwargs: self.name)
