"""aiohttp: calls of its client carry the agent's identity."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from scalesim.integrations.faults import harmless
from scalesim.integrations.requests_of_http import identity_headers


def install(module: ModuleType) -> None:
    """Let every session name the agent to the stack; headers that are set win."""
    original = module.ClientSession._request
    if hasattr(original, "__scalesim__"):
        return

    @functools.wraps(original)
    async def request(self: Any, method: str, url: Any, **kwargs: Any) -> Any:
        _name(self, url, kwargs)
        return await original(self, method, url, **kwargs)

    request.__scalesim__ = True  # type: ignore[attr-defined]
    module.ClientSession._request = request


@harmless
def _name(session: Any, url: Any, kwargs: dict[str, Any]) -> None:
    whole = urlsplit(str(session._build_url(url)))
    ours = identity_headers(whole.netloc)
    if ours:
        given = kwargs.get("headers") or {}
        named = {name.lower() for name in (*dict(given), *session.headers)}
        kwargs["headers"] = {**dict(given)} | {
            name: value for name, value in ours.items() if name.lower() not in named
        }
