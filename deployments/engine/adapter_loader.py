"""Loads adapters into host memory when a request first needs them."""

from __future__ import annotations

import asyncio
from typing import Any

from sglang.srt.managers.io_struct import LoadLoRAAdapterReqInput

from scalesim.deployments.calls import Call
from scalesim.deployments.engine.adapter_registry import Adapter, AdapterRegistry
from scalesim.deployments.engine.flags import in_our_names
from scalesim.errors import InvalidRequestError, UnknownModelError


class AdapterLoader:
    """Adapters of one engine, each loaded once however many requests wait for it.

    Args:
        manager: SGLang's tokenizer manager.
        registry: What may be loaded; None nothing.
    """

    def __init__(self, manager: Any, registry: AdapterRegistry | None) -> None:
        self._manager = manager
        self._registry = registry
        self._loads: dict[str, asyncio.Task[None]] = {}

    async def load(self, call: Call) -> str | None:
        """Return what the engine calls a call's adapter once it is loaded; None where it has none.

        That is the one it names, else its agent's. One that was removed is unknown at once; one
        that was registered again under its id is loaded as another.

        Raises:
            UnknownModelError: It is not registered.
            InvalidRequestError: It may not be loaded, or could not be; other requests go on, and
                the next one that needs it tries again.
        """
        if call.body.get("lora_path") is not None:
            raise InvalidRequestError("lora_path names files: use `model:adapter`", "lora_path")
        _, colon, named = str(call.body.get("model", "")).partition(":")
        if self._registry is None:
            if not colon:
                return None
            raise UnknownModelError(
                "no adapters are served here: start the stack with engine.adapters", "model"
            )
        name = named if colon else self._registry.assigned_to(call.key)
        if name is None:
            return None
        adapter = await asyncio.to_thread(self._registry.find, name)
        identity = adapter.identity
        load = self._loads.get(identity)
        if load is None:
            load = asyncio.create_task(self._load(adapter, self._registry))
            self._loads[identity] = load
        try:
            await asyncio.shield(load)
        except Exception:
            if self._loads.get(identity) is load:  # not what another has begun since
                del self._loads[identity]
            raise
        return identity

    async def _load(self, adapter: Adapter, registry: AdapterRegistry) -> None:
        asked = LoadLoRAAdapterReqInput(lora_name=adapter.identity, lora_path=str(adapter.folder))
        answer = await self._manager.load_lora_adapter(asked)
        if not answer.success:
            raise InvalidRequestError(
                f"adapter {adapter.name!r} cannot be loaded: {in_our_names(answer.error_message)}",
                "model",
            )
        if await asyncio.to_thread(registry.find, adapter.name) != adapter:
            raise InvalidRequestError(
                f"adapter {adapter.name!r} was registered again while it was loaded: ask again",
                "model",
            )
