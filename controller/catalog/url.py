"""The catalog's address, kept out of messages and logs."""

from __future__ import annotations

import re

from scalesim.errors import ConfigurationError

_SERVER = re.compile(r"(rediss?|unix)://")


def checked(url: str) -> str:
    """Return the address after checking that a client will parse it as it was meant.

    A password with `#`, `/` or `?` as it is would end the server's name there: the client would
    connect to another one, or tell half of the password.

    Raises:
        ConfigurationError: It is not a server's address, or has such a password; never shows it.
    """
    url = url.strip()
    scheme = _SERVER.match(url)
    rest = url[scheme.end() :] if scheme else ""
    if not scheme or not rest:
        raise ConfigurationError(
            "catalog.url is not a server's address: use redis://, rediss:// or unix://, or leave "
            "it empty for an embedded server"
        )
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    is_path = scheme[1] == "unix" and not server
    if "#" in rest or ("@" in rest[len(server) :] and not is_path):
        raise ConfigurationError(
            "catalog.url has a user or password with '#', '/' or '?' in it: write them as %23, %2F "
            "and %3F, or give the password in SCALESIM_CATALOG_PASSWORD"
        )
    return url
