"""Which model a request is for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.engine.models.architecture import require_same
from deployments.engine.models.files import ModelShelf
from scalesim.errors import InvalidRequestError
from scalesim.settings import EngineSettings


class ModelChoice:
    """The models that requests to one engine may name.

    Args:
        settings: The engine's.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._own = settings.served_model_name
        self._base = Path(settings.model_path)
        self._shelf = ModelShelf(settings.models) if settings.models is not None else None
        self._fitting: set[str] = set()

    async def named_by(self, body: Mapping[str, Any]) -> str:
        """Return the identity of the model that a request names; empty for the engine's own.

        Raises:
            UnknownModelError: It is not registered.
            InvalidRequestError: It may not be loaded, or does not fit the engine.
        """
        name = str(body.get("model", self._own)).partition(":")[0]
        if self._shelf is None or name == self._own:
            return ""
        return await asyncio.to_thread(self._identity, name, self._shelf)

    def _identity(self, name: str, shelf: ModelShelf) -> str:
        try:
            model = shelf.find(name)
            if model.identity not in self._fitting:
                require_same(name, model.folder, self._base)
                self._fitting.add(model.identity)
        except OSError as error:
            raise InvalidRequestError(
                f"model {name!r} cannot be read ({error}): register it again", "model"
            ) from error
        return model.identity
