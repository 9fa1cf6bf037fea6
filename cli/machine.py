"""Checks of `scalesim doctor` on this machine: platform, packages, GPU, resources and clock."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scalesim.cli.finding import Check
from scalesim.pins import pinned

NEEDED = {name: pinned(name) for name in ("ray", "sglang")}
"""Engine and cluster versions our hooks were written for."""

MIN_MEMORY_GIB = 6
MIN_DISK_GIB = 5
MIN_SHM_GIB = 1
MIN_OPEN_FILES = 4096

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - looked at, never written


def platform_checks() -> Iterator[Check]:
    """Check Python and the operating system."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = sys.version_info[:2] in ((3, 11), (3, 12)) and platform.system() == "Linux"
    yield Check("python", ok, found, "use CPython 3.11 or 3.12 on Linux")


def package_checks() -> Iterator[Check]:
    """Check the packages the stack is made of, in the versions it was made for."""
    for name, needed in NEEDED.items():
        found = _version(name)
        yield Check(name, found == needed, found, f"pip install '{name}=={needed}'")


def accelerator_checks() -> Iterator[Check]:
    """Check that there is a GPU, or what stands in for one."""
    if importlib.util.find_spec("torch") is None:
        yield Check("accelerator", False, "torch is not installed", "install sglang, see docs")
        return
    import torch

    devices = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    gpus = [f"{device.name}, {device.total_memory / 2**30:.0f} GiB" for device in devices]
    driver = Path("/proc/driver/nvidia/version").exists()
    advice = "the driver is loaded but torch sees no GPU: check CUDA_VISIBLE_DEVICES and the wheel"
    found = "; ".join(gpus) or "none: the engine runs on the CPU"
    yield Check("accelerator", bool(gpus) or not driver, found, advice)


def resource_checks() -> Iterator[Check]:
    """Check memory, disk and open files."""
    import resource

    from scalesim.deployments.machine.memory import read_memory

    memory = read_memory().available_bytes / 2**30
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


def clock_checks() -> Iterator[Check]:
    """Check the wall clock: controllers are numbered by it."""
    now = datetime.now(UTC)
    installed = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    found = now.isoformat(timespec="seconds")
    advice = f"the clock is behind the time of installation, {installed:%Y-%m-%d %H:%M}: set it"
    yield Check("clock", now >= installed, found, advice)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
