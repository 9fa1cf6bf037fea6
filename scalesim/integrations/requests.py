"""requests: calls of the library carry the agent's identity."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from scalesim.integrations.faults import harmless
from scalesim.integrations.requests_of_http import identity_headers


def install(module: ModuleType) -> None:
    """Let every session name the agent to the stack; headers that are set win."""
    original = module.Session.send
    if hasattr(original, "__scalesim__"):
        return

    @functools.wraps(original)
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        _name(request)
        return original(self, request, **kwargs)

    send.__scalesim__ = True  # type: ignore[attr-defined]
    module.Session.send = send


@harmless
def _name(request: Any) -> None:
    for name, value in identity_headers(urlsplit(request.url).netloc).items():
        request.headers.setdefault(name, value)
