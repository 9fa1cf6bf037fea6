"""Host memory there is for this process: the machine's, or what its control groups leave of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_OCTAL = 8


class Memory(NamedTuple):
    """Host memory.

    Attributes:
        limit_bytes: The machine's, or the smallest limit of a control group this process is in.
        available_bytes: What can be had of it now; files in the page cache count as free.
    """

    limit_bytes: int
    available_bytes: int


class _Version(NamedTuple):
    """How a version of control groups names things."""

    limits: tuple[str, ...]
    usage: str
    cached: tuple[str, ...]


_VERSIONS = {
    "cgroup2": _Version(
        ("memory.max", "memory.high"), "memory.current", ("active_file", "inactive_file")
    ),
    "cgroup": _Version(
        ("memory.limit_in_bytes",),
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file"),
    ),
}


def read_memory(root: Path = Path("/")) -> Memory:
    """Return the memory of this machine or container.

    Every group from this process' own up to the mounted root counts: any of them may be the
    smallest. Version 1, version 2 and both at once are read.

    Args:
        root: Where `proc` is, and what mounts are below of.
    """
    found = _machine(root)
    for version, folder in _groups(root):
        for limits in _limits(version, folder):
            found = Memory(*map(min, found, limits))
    return found


def _machine(root: Path) -> Memory:
    rows = (line.split() for line in (root / "proc/meminfo").read_text().splitlines())
    kib = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return Memory(kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024)


def _limits(version: _Version, folder: Path) -> Iterator[Memory]:
    for name in version.limits:
        limit = _number(folder / name)
        if limit is None:
            continue
        used = _number(folder / version.usage) or 0
        stat = _table(folder / "memory.stat")
        used -= min(used, sum(stat.get(name, 0) for name in version.cached))
        yield Memory(limit, max(limit - used, 0))


def _groups(root: Path) -> Iterator[tuple[_Version, Path]]:
    """Yield the folders of the memory groups this process is in, innermost first."""
    try:
        memberships = os.fsdecode((root / "proc/self/cgroup").read_bytes()).splitlines()
        mounts = os.fsdecode((root / "proc/self/mountinfo").read_bytes()).splitlines()
    except OSError:
        return
    paths: dict[str, str] = {}
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        if kind not in paths or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        inside, mounted = map(_unescaped, before.split()[3:5])
        mount = root / mounted.lstrip("/")
        for folder in _upwards(mount, paths[kind], inside):
            yield _VERSIONS[kind], folder


def _upwards(mount: Path, path: str, inside: str) -> Iterator[Path]:
    """Yield folders from a group up to its mount.

    A container sees its own group as the root of the mount, while the group's path may begin at
    the machine's root or at its own.
    """
    relative = path.removeprefix(inside) if inside != "/" else path
    folder = mount / relative.lstrip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = mount
    while folder != mount:
        yield folder
        folder = folder.parent
    yield mount


def _unescaped(text: str) -> str:
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:3], _OCTAL)) + part[3:] for part in rest)


def _number(file: Path) -> int | None:
    """Return the number in a file; None where there is none, or no limit."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _table(file: Path) -> dict[str, int]:
    try:
        rows = (line.split() for line in file.read_text().splitlines())
        return {row[0]: int(row[1]) for row in rows}
    except (OSError, ValueError, IndexError):
        return {}
