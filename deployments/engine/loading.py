"""Loads adapters into host memory when a request first needs them."""

from __future__ import annotations

import asyncio
from typing import Any

from sglang.srt.managers.io_struct import LoadLoRAAdapterReqInput

from deployments.calls import Call
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

    async def load(self, call: Call) -> str | None:
        """Return the id of a call's adapter once it is loaded; None, at once, where it has none.

        That is the one it names, else its agent's.

        Raises:
            InvalidRequestError: It may not be loaded, or could not be; other requests go on, and
                the next one that needs it tries again.
        """
        if call.body.get("lora_path") is not None:
            raise InvalidRequestError("lora_path names files: use `model:adapter`", "lora_path")
        _, colon, named = str(call.body.get("model", "")).partition(":")
        if self._shelf is None:
            if not colon:
                return None
            raise UnknownModelError(
                "no adapters are served here: start the stack with engine.adapters", "model"
            )
        name = named if colon else self._shelf.assigned_to(call.key)
        if name is None:
            return None
        if name not in self._loads:
            self._loads[name] = asyncio.create_task(self._load(name, self._shelf))
        try:
            await asyncio.shield(self._loads[name])
        except Exception:
            self._loads.pop(name, None)
            raise
        return name

    async def _load(self, name: str, shelf: AdapterShelf) -> None:
        adapter = shelf.find(name)
        asked = LoadLoRAAdapterReqInput(lora_name=name, lora_path=str(adapter.folder))
        answer = await self._manager.load_lora_adapter(asked)
        if not answer.success:
            raise InvalidRequestError(
                f"adapter {name!r} cannot be loaded: {answer.error_message}", "model"
            )
