"""Who goes through the proxy that the environment names."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


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
