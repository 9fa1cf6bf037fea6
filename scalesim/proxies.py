"""Who goes through the proxy that the environment names."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_LOOPBACK = "127.0.0.1,localhost"


def may_be_proxied(url: str) -> bool:
    """Return whether a client of `url` heeds HTTP_PROXY, HTTPS_PROXY and NO_PROXY.

    A stack on this machine is out of any proxy's reach, whatever NO_PROXY leaves out. To be given
    to httpx as `trust_env`.
    """
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def without_proxy_here(environment: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY, in both spellings, with this machine added to what `environment` has.

    For programs and libraries that cannot be told otherwise.
    """
    return {
        name: ",".join(filter(None, [environment.get(name), _LOOPBACK]))
        for name in ("NO_PROXY", "no_proxy")
    }
