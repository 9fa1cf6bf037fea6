"""Identity headers on requests to the stack, whichever library sends them."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from scalesim.caller import caller
from scalesim.headers import SIMULATION
from scalesim.integrations import current_run

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""Clients leave them out."""


class _Count:
    total = 0


named_requests = _Count()
"""How many requests of this process have named an agent, about: threads may pass over one."""


@cache
def stack_netlocs() -> frozenset[str]:
    """Return HOST:PORT of the stack; on this machine also under its other names."""
    from scalesim.environment import client_from_env

    url = urlsplit(client_from_env().base_url)
    netloc = _plain(url.netloc)
    host, _, port = netloc.rpartition(":")
    if host not in _LOOPBACK:
        default = _DEFAULT_PORTS.get(url.scheme, "")
        return frozenset({netloc, netloc.removesuffix(default)})
    return frozenset(f"{name}:{port}" for name in _LOOPBACK)


def identity_headers(netloc: str) -> dict[str, str]:
    """Return what a request to this HOST:PORT should carry; nothing where it is another's.

    Who acts is in the context of the caller; where nobody does, the simulation alone is named.
    """
    if _plain(netloc) not in stack_netlocs():
        return {}
    who = caller.get()
    if who is not None:
        named_requests.total += 1
        return who.headers
    return {SIMULATION: current_run.simulation().name}


def _plain(netloc: str) -> str:
    """Return HOST:PORT as clients write it in any case, without a user."""
    return netloc.rpartition("@")[2].lower()
