"""Three tiers: the device holds 10% of the agents, host memory 30%, storage all of them.

Peers in the same run: SGLang with HiCache and its own file backend over an equal disk, LRU, which
reads from storage when a request is queued. Schedules are told one step ahead.

Run: python -m benchmarks.payloads.tiers
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from deployments.random_model import build
from scalesim.settings import Arm
from simulations.arms import Machine
from simulations.comparison import compare, document, require_equal_tokens
from simulations.coordinator import Pace
from simulations.society import society
from simulations.workload import PromptSize

ARMS: tuple[Arm, ...] = ("hicache", "scalesim")
SEEDS = (0, 1)
AGENTS, ACTIVE, STEPS = 60, 0.05, 16
SIZE = PromptSize(private=512, output=8)
PACE = Pace(workers=2, concurrency=8, think_s=0.5)


def measure(seed: int, folder: Path) -> dict[str, Any]:
    """Run both arms on one seed; return figures by arm, and the share of prefetched bytes wasted.

    Raises:
        TokensDifferError: The arms returned different text.
    """
    workload = society(agents=AGENTS, active=ACTIVE, steps=STEPS, size=SIZE, seed=seed)
    machine = Machine(
        build(folder / "model", seed=seed),
        device="cpu",
        device_share=0.1,
        host_share=0.3,
        storage=folder / "storage",
    )
    outcomes = compare(ARMS, workload, machine, PACE, folder / "kept")
    require_equal_tokens(outcomes, workload)
    replicas = outcomes["scalesim"].status["replicas"].values()
    flows = [replica["flows"]["prefix"] for replica in replicas]
    wasted, issued = (sum(flow[f"{name}_bytes"] for flow in flows) for name in ("wasted", "issued"))
    result = document(outcomes, workload)
    arms = {
        arm: {name: figures[name] for name in ("busy_s", "ttft_s", "prefix_tokens")}
        for arm, figures in result["arms"].items()
    }
    speedup = result["speedup"]["over_hicache"]
    return {"arms": arms, "speedup": speedup, "wasted_share": round(wasted / issued, 4)}


def main() -> None:
    """Print one table and write JSON."""
    runs = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="scalesim-tiers-") as folder:
            runs[seed] = measure(seed, Path(folder))
    columns = ("seed", "arm", "busy s", "TTFT p50 ms", "device", "host", "storage", "wasted")
    table = Table(*columns, title="private tokens by the tier they were found in")
    for seed, run in runs.items():
        for arm, figures in run["arms"].items():
            found = figures["prefix_tokens"]
            table.add_row(
                str(seed),
                arm,
                f"{figures['busy_s']:.1f}",
                f"{1000 * figures['ttft_s']['p50']:.0f}",
                *(f"{found[tier] / found['total']:.1%}" for tier in ("device", "host", "storage")),
                f"{run['wasted_share']:.1%}" if arm == "scalesim" else "",
            )
    Console().print(table)
    write("payloads/tiers", runs, agents=AGENTS, active=ACTIVE, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
