"""An address of the stack's own: the stack listens on it, its ingress takes what comes in.

The listening socket is the stack's, so that connections wait in its backlog while the ingress is
away: killed, draining, or not started yet. The ingress gets it over a Unix socket.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import threading
from contextlib import suppress

from scalesim.errors import ConfigurationError

BACKLOG = 4096
"""Connections that wait while the ingress is away; Linux allows so many by default."""

_HANDOVER_S = 10.0
"""Longest a handover may take: both ends are on this machine."""

_CREDENTIALS = struct.Struct("3i")


class Address:
    """A host and port that this process listens on, until it is closed.

    Args:
        host: Address.
        port: Port; 0 takes a free one.

    Attributes:
        port: The port.
        name: What `taken` asks for it by.

    Raises:
        ConfigurationError: It cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family)
        # What was served a moment ago may be served again.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except OSError as error:
            self._socket.close()
            raise ConfigurationError(
                f"ingress.port {port} of {host} cannot be had ({error.strerror}): stop what has "
                "it, or use another; 0 takes a free one"
            ) from error
        self.port = int(self._socket.getsockname()[1])
        self.name = f"scalesim-{secrets.token_hex(16)}"
        self._counter = socket.socket(socket.AF_UNIX)
        self._counter.bind(f"\0{self.name}")  # no file: nothing is left behind
        self._counter.listen()
        self._serving = threading.Thread(target=self._serve, name="address", daemon=True)
        self._serving.start()

    def close(self) -> None:
        """Listen no more; connections not yet taken are reset. Safe to call twice."""
        with suppress(OSError):
            self._counter.shutdown(socket.SHUT_RDWR)
        self._serving.join(_HANDOVER_S)
        self._counter.close()
        self._socket.close()

    def __enter__(self) -> Address:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._counter.accept()
            except OSError:
                return
            with asking, suppress(OSError):
                asking.settimeout(_HANDOVER_S)
                if _user_of(asking) == os.getuid():
                    socket.send_fds(asking, [b"."], [self._socket.fileno()])


def taken(name: str) -> socket.socket:
    """Return the listening socket of an `Address` of this user on this machine.

    Raises:
        OSError: There is none, or it is another user's.
    """
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_HANDOVER_S)
        asking.connect(f"\0{name}")
        _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
    if not descriptors:
        raise OSError("the stack did not hand over its address: it is another user's")
    return socket.socket(fileno=descriptors[0])


def _user_of(peer: socket.socket) -> int:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
