"""What agents ask of an engine that is driven pass by pass."""

from __future__ import annotations

from typing import Any

from benchmarks.engine.rigs import Rig, model_name
from scalesim.deployments.engine.emulation.inline import InlineEngine
from scalesim.deployments.engine.emulation.inline_requests import EmulatedRequest
from scalesim.deployments.engine.identity_envelope import salted
from scalesim.deployments.engine.models.model_registry import ModelRegistry

_STRANGER = 1000
"""Keys from this one on are of callers that have a model and are not agents."""


class Asker:
    """Sends requests for the adapter or the model that is an agent's.

    Args:
        engine: Where to.
        rig: What it is.

    Attributes:
        prompts: What agents ask.
    """

    def __init__(self, engine: InlineEngine, rig: Rig) -> None:
        self._engine = engine
        self.prompts = rig.prompts()
        models = engine.settings.models
        registry = ModelRegistry(models) if models is not None else None
        names = range(rig.models)
        self._models = [registry.find(model_name(n)).identity for n in names] if registry else []

    def ask(self, agent: int, ids: list[int], *, known: bool) -> EmulatedRequest:
        """Send a request of an agent; with the agent's key where that is `known`."""
        fields: dict[str, Any] = {}
        key = agent if known else None
        family = self.prompts.family(agent)
        if self._models:
            model = self._models[family] if family is not None else ""
            key = agent if known else _STRANGER + agent  # only agents name models
            fields = {"model": model, "cache_salt": salted("", model) or None}
        elif family is not None:
            fields = {"lora_id": self.prompts.more(agent)["lora_path"]}
        return self._engine.ask(ids, self.prompts.output, key, **fields)
