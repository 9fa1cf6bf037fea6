"""The society in three arms, whole stack each: who decides what stays is all that differs.

Run: python -m benchmarks.serving.society [SEEDS]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write

ARMS = ("stock", "hicache", "scalesim")
COMMAND = [
    "society",
    "--agents",
    "48",
    "--steps",
    "12",
    "--active",
    "0.2",
    "--device-share",
    "0.25",
    "--arms",
    "stock,hicache,scalesim",
]


def run(seed: int, folder: str) -> dict[str, Any]:
    """Return the JSON of one comparison."""
    command = [sys.executable, "-m", "scalesim.simulations", *COMMAND, "--seed", str(seed)]
    done = subprocess.run(  # noqa: S603
        [*command, "--out", folder, "--json"], stdout=subprocess.PIPE, check=True, timeout=1800
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main(seeds: int) -> None:
    """Print medians over seeds and write JSON."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(seed, folder) for seed in range(seeds)]
    assert all(len({arm["tokens_sha256"] for arm in r["arms"].values()}) == 1 for r in runs)
    rows = {}
    for name in ARMS:
        arms = [r["arms"][name] for r in runs]
        found = [arm["prefix_tokens"] for arm in arms]
        rows[name] = {
            "busy_s": float(np.median([arm["busy_s"] for arm in arms])),
            "ttft_p50_s": float(np.median([arm["ttft_s"]["p50"] for arm in arms])),
            "ttft_p95_s": float(np.median([arm["ttft_s"]["p95"] for arm in arms])),
            "device_share": float(np.median([f["device"] / f["total"] for f in found])),
            "errors": sum(arm["errors"] for arm in arms),
        }
    ratios = {
        over: [round(r["speedup"][over], 3) for r in runs]
        for over in ("over_stock", "over_hicache")
    }
    table = Table("arm", "busy s", "TTFT p50 s", "p95 s", "on the device")
    for name, row in rows.items():
        cells = [f"{row[key]:.2f}" for key in ("busy_s", "ttft_p50_s", "ttft_p95_s")]
        table.add_row(name, *cells, f"{row['device_share']:.0%}")
    Console().print(table, ratios)
    write("serving/society", {"arms": rows, "speedups": ratios}, seeds=seeds, command=COMMAND)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
