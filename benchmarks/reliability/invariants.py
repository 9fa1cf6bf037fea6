"""What must be as before once a stack has healed."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import httpx
import psutil

from benchmarks.reliability import parts
from benchmarks.reliability.load import End, LoadTally
from scalesim.deployments.stack import Stack

MEMORY_SHARE = 1.3
"""Most memory as a share of that before: processes that were restarted differ by some of it."""

_LOGS = (".log", ".out", ".err")


class StackSnapshot(NamedTuple):
    """A stack and what it has on this machine.

    Attributes:
        processes: How many of each part.
        files: What its processes have open in the temporary folder and in shared memory.
        ports: Sockets that its processes listen on.
        memory_bytes: Of all its processes.
    """

    processes: Counter[str]
    files: frozenset[str]
    ports: int
    memory_bytes: int


def snapshot(stack: Stack) -> StackSnapshot:
    """Return how a stack is now."""
    below = psutil.Process().children(recursive=True)
    ports, memory, files = 0, 0, set[str]()
    for process in below:
        with suppress(psutil.Error):
            memory += process.memory_info().rss
            listening = process.net_connections(kind="tcp")
            ports += sum(each.status == psutil.CONN_LISTEN for each in listening)
            files |= set(held(process))
    return StackSnapshot(
        Counter({part: len(found) for part, found in parts.all_of(stack).items()}),
        frozenset(files),
        ports,
        memory,
    )


def changed(before: StackSnapshot, after: StackSnapshot) -> list[str]:
    """Return what is not as before; processes that came and went took their files with them."""
    found = []
    if after.processes != before.processes:
        found.append(f"processes {dict(before.processes)} became {dict(after.processes)}")
    if left := [file for file in before.files - after.files if os.path.exists(file)]:
        found.append(f"files left: {sorted(left)}")
    if after.ports > before.ports:
        found.append(f"{before.ports} listening sockets became {after.ports}")
    if after.memory_bytes > MEMORY_SHARE * before.memory_bytes:
        found.append(f"{before.memory_bytes} bytes of memory became {after.memory_bytes}")
    return found


def lost(tally: LoadTally, may_lose: Iterable[End]) -> list[str]:
    """Return what was lost that must not be."""
    allowed = {End.ANSWERED, *may_lose}
    found = [f"{count} {end.value}" for end, count in tally.ends.items() if end not in allowed]
    return [*found, *(f"reason: {reason}" for reason in tally.reasons)] if found else []


async def in_engines(http: httpx.AsyncClient) -> int:
    """Return how many requests the engines have not ended, as the replicas tell."""
    status = (await http.get("/v1/status")).json()
    total = 0.0
    for replica in status["replicas"].values():
        if not replica["attached"]:
            continue  # it is gone
        text = (await http.get(f"http://{replica['metrics']}/metrics")).text
        name = "scalesim_replica_engine_requests{"
        total += sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))
    return int(total)


def held(process: psutil.Process) -> Iterable[str]:
    """Yield files and sockets of a process in the folders that must be left as they were.

    Logs are not among them: Ray keeps those of ended processes as long as its session lasts.
    """
    folders = (f"{tempfile.gettempdir()}/", "/dev/shm/")  # noqa: S108 - only looked at
    held = [file.path for file in process.open_files()]
    held += [str(each.laddr) for each in process.net_connections(kind="unix")]
    held += [each.path for each in process.memory_maps()]
    return (path for path in held if path.startswith(folders) and not path.endswith(_LOGS))
