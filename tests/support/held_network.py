"""A network by which nothing comes for a while, and then what was sent meanwhile."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path


class HeldNetwork:
    """Passes bytes between clients and a server, from a socket of its own.

    Neither side sees when it holds: connections stay, new ones are taken, as where a network loses
    packets. What is held is sent on in the end, however late, its sender gone or not.

    Args:
        server: Path of the server's Unix socket.
        folder: Where to put its own, `path`.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.path = folder / "network"
        self._server = server
        self._open = threading.Event()
        self._open.set()
        self._hold_at = b""
        self._hold_answers = False
        self.held = threading.Event()
        self._ends: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, at: bytes = b"", *, answers: bool = False) -> None:
        """Hold from now on, or from the first time that a client, or the server, sends that."""
        self.held.clear()
        self._hold_at, self._hold_answers = at, answers
        if not at:
            self._stop()

    def release(self) -> None:
        """Send on what was held, and all that follows."""
        self._hold_at = b""
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self.release()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for end in [self._listening, *self._ends]:
            end.close()

    def _stop(self) -> None:
        self._open.clear()
        self.held.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._ends += [client, server]
                for pair in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._hold_at and self._hold_at in data and answers == self._hold_answers:
                    self._hold_at = b""
                    self._stop()
                self._open.wait()
                with suppress(OSError):
                    sink.sendall(data)
            self._open.wait()
            sink.shutdown(socket.SHUT_WR)
