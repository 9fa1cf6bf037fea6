"""Which model a call is for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from scalesim.deployments.calls import Call
from scalesim.deployments.engine.models.architecture import require_same
from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.errors import InvalidRequestError
from scalesim.settings import EngineSettings


class ModelResolver:
    """The models that calls to one engine may be for.

    Args:
        settings: The engine's.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._own = settings.served_model_name
        self._base = Path(settings.model_path)
        self._registry = ModelRegistry(settings.models) if settings.models is not None else None
        self._fitting: set[str] = set()

    async def of(self, call: Call) -> str:
        """Return the identity of a call's model; empty for the engine's own.

        That is the one it names; where it names the engine's own or none, its agent's.

        Raises:
            UnknownModelError: It is not registered.
            InvalidRequestError: It may not be loaded, or does not fit the engine.
        """
        if self._registry is None:
            return ""
        named = str(call.body.get("model", self._own)).partition(":")[0]
        name = named if named != self._own else self._registry.assigned_to(call.key)
        if name is None:
            return ""
        return await asyncio.to_thread(self._identity, name, self._registry)

    def _identity(self, name: str, registry: ModelRegistry) -> str:
        try:
            model = registry.find(name)
            if model.identity not in self._fitting:
                require_same(name, model.folder, self._base)
                self._fitting.add(model.identity)
        except OSError as error:
            raise InvalidRequestError(
                f"model {name!r} cannot be read ({error}): register it again", "model"
            ) from error
        return model.identity
