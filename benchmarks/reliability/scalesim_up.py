"""`scalesim up` as a shell starts it, and what of this machine it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from benchmarks.reliability.invariants import held
from benchmarks.reliability.parts import runs
from scalesim.deployments import run_folder

ENDS_S = 120.0
_LOOK_S = 0.05
_COMMAND = [sys.executable, "-c", "from scalesim.cli.main import main; main()", "up"]


class ScalesimUp:
    """The leader of a process group, behind a proxy that does not answer.

    Args:
        config: Its YAML file.
        place: Folder for everything temporary, with a short path; nothing else is in it.

    Attributes:
        url: Where it listens, once it is ready.
        pid: Its process, and the id of its group.
    """

    def __init__(self, config: Path, place: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(place), "RAY_AUTH_MODE": "disabled"}
        environment |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
        environment.pop("no_proxy", None)
        self.config = config
        self.place = place
        self._began = time.time()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [*_COMMAND, "--config", str(config), "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.pid = self._process.pid
        self.url = ""
        self._seen: set[psutil.Process] = set()
        self._files: set[str] = set()
        self._ports: set[int] = set()

    def __enter__(self) -> ScalesimUp:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:  # its guard does the rest
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ready(self) -> ScalesimUp:
        """Return once it answers; what it says of itself goes where this process's errors go."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it did not start: exit code {self._process.wait(ENDS_S)}"
        self.url = line.split()[-1]
        return self

    def answers(self) -> bool:
        """Return whether it answers a request."""
        body = {"model": "scalesim", "prompt": "w1 w2", "max_tokens": 2}
        with suppress(httpx.TransportError):
            asked = f"{self.url}/v1/completions"
            return httpx.post(asked, json=body, timeout=60, trust_env=False).status_code == 200
        return False

    def processes(self) -> list[psutil.Process]:
        """Return those of it that run."""
        found = {psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)}
        return [*found.union(*map(run_folder.processes_in, self._folders()))]

    def part(self, title: str) -> psutil.Process | None:
        """Return a process of that name or title; None where there is none."""
        for process in self.processes():
            with suppress(psutil.Error):
                if process.name() == title or " ".join(process.cmdline()).startswith(title):
                    return process
        return None

    def look(self) -> None:
        """Remember what it has: files in shared memory and for a while, processes, ports."""
        for process in self.processes():
            self._seen.add(process)
            with suppress(psutil.Error):
                self._files.update(held(process))
                self._ports |= {
                    each.laddr.port
                    for each in process.net_connections("inet")
                    if each.status == psutil.CONN_LISTEN
                }
        shared = [f"/dev/shm/{file}" for file in os.listdir("/dev/shm")]  # noqa: S108
        for folder in self._folders():
            self._files |= {file for file in shared if folder.name in file}

    def send(self, number: signal.Signals, *, group: bool) -> None:
        """Send a signal to it, or as `timeout` does to its process group and to it."""
        self.look()
        if group:
            os.killpg(self.pid, number)
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Return the exit code once all its processes have ended, or time is up."""
        code = self._process.wait(ENDS_S)
        until(lambda: not any(map(runs, self._seen)), ENDS_S)
        return code

    def left(self) -> list[str]:
        """Return what of it is there still, once it has ended."""
        found = [f"process {each.pid}" for each in self._seen if runs(each)]
        files = {path for path in self._files if self._made(path)}
        files |= {str(path) for path in self.place.iterdir()}
        found += [f"file {path}" for path in sorted(files)]
        listening = {
            each.laddr.port
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and self._has(each.pid)
        }
        return [*found, *(f"port {port}" for port in sorted(self._ports & listening))]

    def _folders(self) -> list[Path]:
        """Return where everything of it is, once it has made that."""
        return list(self.place.glob("scalesim-*/*"))

    def _has(self, pid: int | None) -> bool:
        """Return whether a process is one of it; another stack's may have its ports by now."""
        if pid is None:  # another user's
            return False
        with suppress(psutil.Error):
            folder = str(psutil.Process(pid).environ().get("TMPDIR", ""))
            return folder.startswith(str(self.place))
        return False  # it has ended

    def _made(self, path: str) -> bool:
        """Return whether a file is there, and was not before this."""
        with suppress(OSError):
            return os.stat(path).st_ctime > self._began
        return False


def until(holds: Callable[[], bool], within_s: float) -> bool:
    """Return whether it holds within that time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True
