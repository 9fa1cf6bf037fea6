"""AutoGen: calls carry the identity of a team's participant; a round robin is known ahead."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesim.integrations.acting import act_for
from scalesim.integrations.current_run import begin_step, pin
from scalesim.integrations.watching import before


def install_agents(module: ModuleType) -> None:
    """Patch agents that run outside of teams, so that their calls carry their identity."""
    for name in ("run", "run_stream"):
        act_for(module.BaseChatAgent, name, lambda self, *args, **kwargs: self.name)


def install_assistants(module: ModuleType) -> None:
    """Patch assistants that are handed messages by the program itself."""
    for name in ("on_messages", "on_messages_stream"):
        act_for(module.AssistantAgent, name, lambda self, *args, **kwargs: self.name)


def install_participants(module: ModuleType) -> None:
    """Patch teams, so that calls carry the participant's identity."""
    act_for(
        module.ChatAgentContainer, "handle_request", lambda self, *args, **kwargs: self._agent.name
    )


def install_round_robin(module: ModuleType) -> None:
    """Report each turn of a round robin, and those after it."""

    def tell(self: Any, thread: Any) -> None:
        names, place = self._participant_names, self._next_speaker_index
        ahead = [*names[place:], *names[:place]]
        begin_step(ahead[:1], upcoming=[[name] for name in ahead[1:]])

    before(module.RoundRobinGroupChatManager, "select_speaker", tell)


def install_selector(module: ModuleType) -> None:
    """Give the model that selects speakers an identity of its own and pin it: all wait for it."""
    manager = module.SelectorGroupChatManager
    act_for(manager, "select_speaker", lambda self, *args, **kwargs: _keep(self._name))


def install_orchestrator(module: ModuleType) -> None:
    """Give the model that plans for a team of Magentic-One an identity of its own and pin it."""
    for name in ("handle_start", "handle_agent_response"):
        manager = module.MagenticOneOrchestrator
        act_for(manager, name, lambda self, *args, **kwargs: _keep(self._name))


def _keep(name: str) -> str:
    pin(name)
    return name
