"""mesa-llm: an agent's model and its memory's ask for that agent, also in parallel steps."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step
from scalesim.integrations.mesa import agent_id
from scalesim.integrations.watching import after, before

_OWNER = "_scalesim_owner"


def install_models(module: ModuleType) -> None:
    """Let a model that belongs to an agent ask for it."""
    for name in ("generate", "agenerate"):
        act_for(module.ModuleLLM, name, lambda self, *args, **kwargs: getattr(self, _OWNER, None))


def install_agents(module: ModuleType) -> None:
    """Note which agent each model object belongs to."""
    after(module.LLMAgent, "__init__", lambda result, self, *a, **k: _own(self, self.llm))


def install_memories(module: ModuleType) -> None:
    """Note which agent each memory's model object belongs to."""

    def own(result: None, self: Any, *args: Any, **kwargs: Any) -> None:
        _own(self.agent, getattr(self, "llm", None))

    after(module.Memory, "__init__", own)


def install_steps(module: ModuleType) -> None:
    """Report who acts in a step that all take at once: they ask in their order."""
    before(module, "step_agents_parallel_sync", _tell)


def _own(agent: Any, model: Any) -> None:
    if agent is not None and model is not None:
        setattr(model, _OWNER, agent_id(agent))


def _tell(agents: Any) -> None:
    ids = [agent_id(agent) for agent in agents]
    begin_step(order=ids, upcoming=[ids])
