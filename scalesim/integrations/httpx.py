"""httpx and httpx2, sync and async, and all that is built on them: openai, anthropic, litellm."""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Any

from scalesim.integrations.faults import harmless
from scalesim.integrations.requests_of_http import identity_headers


def install(module: ModuleType) -> None:
    """Let every client of the module name the agent to the stack; headers that are set win."""
    sync_send, async_send = module.Client.send, module.AsyncClient.send
    # What reports hints uses httpx too, and the OpenAI SDK 3.x fails calls while it is imported.
    importlib.import_module("scalesim.simulation")
    if hasattr(sync_send, "__scalesim__"):
        return

    @functools.wraps(sync_send)
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        _name(request)
        return sync_send(self, request, **kwargs)

    @functools.wraps(async_send)
    async def send_async(self: Any, request: Any, **kwargs: Any) -> Any:
        _name(request)
        return await async_send(self, request, **kwargs)

    send.__scalesim__ = True  # type: ignore[attr-defined]
    module.Client.send, module.AsyncClient.send = send, send_async


@harmless
def _name(request: Any) -> None:
    ours = identity_headers(request.url.netloc.decode("ascii"))
    if ours:
        given = {name.lower() for name, _ in request.headers.raw}  # half the time of `setdefault`
        for name, value in ours.items():
            if name.lower().encode() not in given:
                request.headers[name] = value
