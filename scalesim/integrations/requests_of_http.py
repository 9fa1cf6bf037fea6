"""Identity headers on requests to the stack, whichever library sends them."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from scalesim.caller import caller
from scalesim.headers import SIMULATION, identity
from scalesim.integrations import current_run

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class _Count:
    total = 0


named_requests = _Count()
"""How many requests of this process have named an agent, about: threads may pass over one."""


@cache
def stack_netlocs() -> frozenset[str]:
    """Return HOST:PORT of the stack; on this machine also under its other names."""
    from scalesim.environment import client_from_env

    netloc = urlsplit(client_from_env().base_url).netloc
    host, _, port = netloc.rpartition(":")
    if host not in _LOOPBACK:
        return frozenset({netloc})
    return frozenset(f"{name}:{port}" for name in _LOOPBACK)


def identity_headers(netloc: str) -> dict[str, str]:
    """Return what a request to this HOST:PORT should carry; nothing where it is another's.

    Who acts is in the context of the caller; where nobody does, the simulation alone is named.
    """
    if netloc not in stack_netlocs():
        return {}
    who = caller.get()
    if who is not None:
        named_requests.total += 1
        return identity(*who)
    return {SIMULATION: current_run.simulation().name}
