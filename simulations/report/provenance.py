"""What a figure came from: enough to run it again and to judge it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine
from scalesim.simulations.workload import Workload

_PACKAGES = ("scalesim-serve", "sglang", "ray", "torch", "mesa", "numpy")


def provenance(workload: Workload, machine: ArmMachine, run_options: RunOptions) -> dict[str, Any]:
    """Return seed, hashes, sizes, versions and hardware, ready for JSON.

    Equal `config_hash`es are of equal workloads on equal machines with equal options.
    """
    # Folders differ from machine to machine, what is in them should not.
    folders = {
        "model_path": machine.model_path.name,
        "storage": machine.storage.name if machine.storage else None,
    }
    config = {
        "workload_digest": workload.digest,
        "machine": {**machine._asdict(), **folders},
        "run_options": run_options._asdict(),
    }
    text = json.dumps(config, sort_keys=True)
    return {
        "simulation": workload.name,
        "config_hash": hashlib.sha256(text.encode()).hexdigest()[:16],
        "seed": workload.seed,
        "agents": len(workload.agents),
        "steps": workload.steps,
        "tokens": workload.size._asdict(),
        **config,
        "versions": versions(),
        "hardware": hardware(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on."""
    return {"python": platform.python_version(), **dict(_versions())}


def hardware() -> dict[str, Any]:
    """Return the machine's processors and platform."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "gpu": _gpu_model(),
        "platform": platform.platform(terse=True),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _gpu_model() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
