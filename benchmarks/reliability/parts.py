"""The processes of a stack that this process started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from scalesim.deployments.stack import Stack

_TITLES = {
    "ingress": "ray::ServeReplica:scalesim:Ingress",
    "replica": "ray::ServeReplica:scalesim:Replica",
    "scheduler": "sglang::scheduler",
    "detokenizer": "sglang::detokenizer",
    "controller": "ray::ControllerActor",
}

PARTS = (*_TITLES, "catalog")


def of(stack: Stack, part: str) -> list[psutil.Process]:
    """Return the processes of one of `PARTS`, stopped ones included."""
    return all_of(stack)[part]


def all_of(stack: Stack) -> dict[str, list[psutil.Process]]:
    """Return the processes of all `PARTS`, at the cost of one look through this machine's."""
    found: dict[str, list[psutil.Process]] = {part: [] for part in PARTS}
    if stack.catalog is not None:
        with suppress(psutil.NoSuchProcess):  # it was killed, and is not back yet
            found["catalog"].append(psutil.Process(stack.catalog.pid))
    for process in psutil.Process().children(recursive=True):
        title = _title(process)
        for part, begin in _TITLES.items():
            if title.startswith(begin):
                found[part].append(process)
    return found


def runs(process: psutil.Process) -> bool:
    """Return whether a process has not ended."""
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


@contextmanager
def stopped(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop processes in the block; those that are still there go on after it."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            send(process, signal.SIGCONT)


def can_cut_connections() -> bool:
    """Return whether this machine lets us break others' connections, which takes its root."""
    return os.geteuid() == 0 and shutil.which("ss") is not None


def cut_connections(process: psutil.Process) -> None:
    """Break all connections that a process has now, as a network does that is gone: by its root.

    One that has ended of it has none.
    """
    found: list[str] = []
    with suppress(psutil.NoSuchProcess):
        found = [
            f"( sport = :{each.laddr.port} and dport = :{each.raddr.port} )"
            for each in process.net_connections("tcp")
            if each.status == psutil.CONN_ESTABLISHED
        ]
    if found:
        command = ["ss", "-K", "state", "established", " or ".join(found)]
        # Its exit code and errors tell of other kinds of sockets, which it cannot break.
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str((process.cmdline() or [""])[0])
    return ""
