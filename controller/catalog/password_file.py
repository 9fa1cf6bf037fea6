"""A password that may change while a controller runs: read from its file at every connection."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.connection import parse_url
from redis.credentials import CredentialProvider


class PasswordFile(CredentialProvider):
    """User and password of a server, for redis-py.

    Args:
        file: Has the password; while it is not there, `password` is taken.
        user: ACL user, "" for the default one.
        password: The one known at the start.
    """

    def __init__(self, file: Path, user: str, password: str) -> None:
        self._file, self._user, self._password = file, user, password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what a new connection says; called by redis-py.

        Raises:
            redis.AuthenticationError: There is no password.
        """
        try:
            password = self._file.read_text("utf-8").rstrip("\r\n")
        except (OSError, ValueError):
            password = self._password
        if not password:
            raise redis.AuthenticationError(f"authentication required: {self._file} has none")
        return (self._user, password) if self._user else (password,)


def without_password(url: str, file: str) -> tuple[str, PasswordFile]:
    """Return a server's address without user and password, and what says them instead.

    Raises:
        ValueError: It is not an address.
    """
    known = parse_url(url)  # type: ignore[no-untyped-call]
    provider = PasswordFile(Path(file), known.get("username", ""), known.get("password", ""))
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), provider
