"""Where the benchmarks of this folder leave their JSON."""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "results" / "policies"


def write(name: str, rows: Any, seeds: int) -> None:
    """Write one benchmark's rows with what is needed to run it again."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    document = {
        "benchmark": name,
        "seeds": seeds,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": rows,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
