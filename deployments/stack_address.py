"""An address of the stack's own: the stack listens on it, its ingress takes what comes in.

The listening socket is the stack's, and all processes of the ingress take connections from its one
backlog: what comes in while one of them is away is another's, and while all are, it waits. They get
it over a Unix socket, with their row of the table in which they count connections.
"""

from __future__ import annotations

import mmap
import os
import secrets
import selectors
import socket
import struct
import threading
from contextlib import suppress
from typing import NamedTuple

from scalesim.controller.acceptor import BACKLOG
from scalesim.controller.connection_counts import PROCESSES, TABLE_BYTES, ConnectionCounts, table_in
from scalesim.errors import ConfigurationError

_HANDOVER_S = 10.0
"""Longest a handover may take: both ends are on this machine."""

_REST_S = 0.1
"""Pause after a handover that failed, as where this process may open no more files."""

_CREDENTIALS = struct.Struct("3i")
_ROW = struct.Struct("i")


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
        self._memory = os.memfd_create("connections")
        os.truncate(self._memory, TABLE_BYTES)
        self._table = table_in(memoryview(mmap.mmap(self._memory, TABLE_BYTES)))
        self._rows: dict[socket.socket, int] = {}
        self._counter = socket.socket(socket.AF_UNIX)
        self._counter.bind(f"\0{self.name}")  # no file: nothing is left behind
        self._counter.listen()
        self._closed = threading.Event()
        self._serving = threading.Thread(target=self._serve, name="address", daemon=True)
        self._serving.start()

    def close(self) -> None:
        """Listen no more; connections not yet taken are reset. Safe to call twice."""
        self._closed.set()
        with suppress(OSError):
            self._counter.shutdown(socket.SHUT_RDWR)
        self._serving.join(_HANDOVER_S)
        self._counter.close()
        self._socket.close()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

    def __enter__(self) -> Address:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._counter, selectors.EVENT_READ)
            while not self._closed.is_set():
                for key, _ in selector.select():
                    if key.fileobj is not self._counter:
                        selector.unregister(key.fileobj)
                        self._take_back(key.fileobj)  # type: ignore[arg-type]
                        continue
                    try:
                        self._hand_over(selector)
                    except OSError:  # it was closed, or one could not have it: others may
                        self._closed.wait(_REST_S)
            for taker in list(self._rows):
                self._take_back(taker)

    def _hand_over(self, selector: selectors.BaseSelector) -> None:
        """Give a process that asks the socket and the lowest free row.

        Raises:
            OSError: Nobody can ask any more, or no file may be opened for who asks.
        """
        taker, _ = self._counter.accept()
        free = [row for row in range(PROCESSES) if row not in self._rows.values()]
        try:
            refused = _user_of(taker) != os.getuid() or not free
        except OSError:
            taker.close()
            raise
        if refused:
            taker.close()
            return
        self._rows[taker] = free[0]
        selector.register(taker, selectors.EVENT_READ)
        with suppress(OSError):  # it is gone, and is taken back as such
            taker.settimeout(_HANDOVER_S)
            files = [self._socket.fileno(), self._memory]
            socket.send_fds(taker, [_ROW.pack(free[0])], files)

    def _take_back(self, taker: socket.socket) -> None:
        """Stop counting the connections of a process that is gone."""
        self._table[:, self._rows.pop(taker)] = 0
        taker.close()


class TakenAddress(NamedTuple):
    """An `Address` in another process, which takes connections from it.

    Attributes:
        socket: It listens.
        counts: Counts of the connections that all of them have.
        lease: To be closed in the end; the counts are taken back with it.
    """

    socket: socket.socket
    counts: ConnectionCounts
    lease: socket.socket

    def close(self) -> None:
        """Take no more."""
        self.socket.close()
        self.lease.close()


def taken(name: str) -> TakenAddress:
    """Return an `Address` of this user on this machine.

    Raises:
        OSError: There is none, it is another user's, or more have it than there may be.
    """
    lease = socket.socket(socket.AF_UNIX)
    try:
        lease.settimeout(_HANDOVER_S)
        lease.connect(f"\0{name}")
        row, descriptors, _, _ = socket.recv_fds(lease, _ROW.size, 2)
        if len(descriptors) != 2:
            raise OSError("the stack did not hand over its address: it is another user's")
    except OSError:
        lease.close()
        raise
    listening, memory = descriptors
    table = table_in(memoryview(mmap.mmap(memory, TABLE_BYTES)))
    os.close(memory)
    return TakenAddress(
        socket.socket(fileno=listening), ConnectionCounts(table, *_ROW.unpack(row)), lease
    )


def _user_of(peer: socket.socket) -> int:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
