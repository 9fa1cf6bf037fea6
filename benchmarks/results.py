"""Where benchmarks leave their JSON, with what is needed to run them again."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def write(name: str, figures: Any, **more: Any) -> Path:
    """Write one benchmark's figures to `results/NAME.json` and return the path."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    document = {
        "benchmark": name,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.processor() or 'CPU'}",
        **more,
        "figures": figures,
    }
    target = FOLDER / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return target
