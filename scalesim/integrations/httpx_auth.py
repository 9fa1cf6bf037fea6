"""Plain httpx, sync and async: `httpx.AsyncClient(auth=scalesim.httpx_auth())`."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from scalesim.caller import current_headers


class IdentityAuth(httpx.Auth):
    """Adds the agent's identity, and the API key where there is one, to every request."""

    def __init__(self, api_key: str = "") -> None:
        self._api_key = api_key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Set the headers; those the caller set win."""
        headers = current_headers()
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        for name, value in headers.items():
            request.headers.setdefault(name, value)
        yield request


def httpx_auth(api_key: str = "") -> IdentityAuth:
    """Return an `auth=` for an httpx client whose calls carry the agent's identity."""
    return IdentityAuth(api_key)
