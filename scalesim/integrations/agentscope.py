"""AgentScope: each agent asks for itself."""

from __future__ import annotations

from types import ModuleType

from scalesim.integrations.acting import act_for


def install(module: ModuleType) -> None:
    """Let replies and what agents do about their memory act for them."""
    for name in ("_reply", "compress_context", "observe"):
        act_for(module.Agent, name, lambda self, *args, **kwargs: self.name)
