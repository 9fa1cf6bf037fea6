"""Where benchmarks leave their JSON, with what is needed to run them again."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def write(name: str, figures: Any, folder: Path = FOLDER, **more: Any) -> Path:
    """Write one benchmark's figures to `NAME.json` in a folder and return the path."""
    document = {
        "benchmark": name,
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.processor() or 'CPU'}",
        **more,
        "figures": figures,
    }
    target = folder / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return target


def _commit() -> str:
    """Return the commit that runs; empty where that cannot be found out."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "rev-parse", "--short", "HEAD"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return asked.stdout.strip()
