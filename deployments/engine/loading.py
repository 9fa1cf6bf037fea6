"""Loads adapters into host memory when a request first names them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sglang.srt.managers.io_struct import LoadLoRAAdapterReqInput

from deployments.engine.adapters import AdapterShelf
from scalesim.errors import InvalidRequestError, UnknownModelError


class AdapterLoader:
    """Adapters of one engine, each loaded once however many requests wait for it.

    Args:
        manager: SGLang's tokenizer manager.
        shelf: What may be loaded; None nothing.
    """

    def __init__(self, manager: Any, shelf: AdapterShelf | None) -> None:
        self._manager = manager
        self._shelf = shelf
        self._loads: dict[str, asyncio.Task[None]] = {}

    async def load(self, body: Mapping[str, Any]) -> None:
        """Return once the adapter that a request names is loaded; at once where it names none.

        Raises:
            InvalidRequestError: It may not be loaded, or could not be; other requests go on, and
                the next one that names it tries again.
        """
        if body.get("lora_path") is not None:
            raise InvalidRequestError("lora_path names files: use `model:adapter`", "lora_path")
        _, named, name = str(body.get("model", "")).partition(":")
        if not named:
            return
        if self._shelf is None:
            raise UnknownModelError(
                "no adapters are served here: start the stack with engine.adapters", "model"
            )
        if name not in self._loads:
            self._loads[name] = asyncio.create_task(self._load(name, self._shelf))
        try:
            await asyncio.shield(self._loads[name])
        except InvalidRequestError:
            self._loads.pop(name, None)
            raise

    async def _load(self, name: str, shelf: AdapterShelf) -> None:
        adapter = shelf.find(name)
        asked = LoadLoRAAdapterReqInput(lora_name=name, lora_path=str(adapter.folder))
        answer = await self._manager.load_lora_adapter(asked)
        if not answer.success:
            raise InvalidRequestError(
                f"adapter {name!r} cannot be loaded: {answer.error_message}", "model"
            )
