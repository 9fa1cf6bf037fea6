"""Four, eight and sixteen emulated replicas behind one controller: where requests should go.

A society on emulated H100s, 40 agents and a quarter of their memory for each replica, so that one
replica's time is the ideal of all. Text is equal in all runs of a size.

Run: python -m benchmarks.simulations.emulated_fleet [REPLICAS ...] [SEEDSx] (virtual time)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.deployments.engine.emulation.inline import import_engine
from scalesim.settings import EmulationSettings
from scalesim.simulations.emulated.emulated_case import EmulatedCase
from scalesim.simulations.emulated.many_replicas import ROUTINGS, Routing, row_of, run_fleet

REPLICAS = (1, 4, 8, 16)
AGENTS = 40
CASE = EmulatedCase(output=8, steps=6)
ARMS: tuple[tuple[str, Routing], ...] = (
    *(("scalesim", routing) for routing in ROUTINGS),
    ("hicache", "hashed"),
)


def rows(replicas: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Yield every arm of so many replicas; of one, every routing is the same."""
    emulation = EmulationSettings.of("h100", 1.0)
    for seed in range(seeds):
        for arm, routing in ARMS if replicas > 1 else (("scalesim", "hashed"), ARMS[-1]):
            case = CASE._replace(agents=AGENTS * replicas, seed=seed)
            found = run_fleet(case, replicas, arm, routing, emulation)
            row = row_of(replicas, routing, arm, found) | {"seed": seed}
            print(f"{replicas} {arm} {routing} seed {seed}: {row['busy_s']:.3f} s", flush=True)
            yield row


def main(arguments: list[str]) -> None:
    """Print one table and write JSON after each size."""
    torch.set_num_threads(1)  # others would not be there after a fork
    import_engine()
    seeds = next((int(each[:-1]) for each in arguments if each.endswith("x")), 1)
    sizes = [int(each) for each in arguments if not each.endswith("x")] or REPLICAS
    found: list[dict[str, Any]] = []
    for replicas in sizes:
        found += rows(replicas, seeds)
        write("simulations/emulated_fleet", found, device="emulated-h100:llama-3.1-8b")
    table = Table(
        "replicas", "arm", "requests go", "busy s", "TTFT p95", "device", "busiest", "moved",
        title="emulated H100s",
    )  # fmt: skip
    for row in found:
        table.add_row(
            str(row["replicas"]),
            row["arm"],
            row["routing"],
            f"{row['busy_s']:.3f}",
            f"{1e3 * row['ttft_p95_s']:.0f} ms",
            f"{row['device_share']:.0%}",
            f"{row['largest_share']:.2f}",
            str(row["moved"]),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
