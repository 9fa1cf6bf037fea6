"""Stepping out of order on an emulated GPU, with distances and without, against an oracle.

The oracle knows from the run with the barrier who really met whom, and waits for nobody else.

Run: python -m benchmarks.simulations.emulated_stepping [TOWN ...]

A TOWN is AGENTSxSTEPSxSEEDS, with `dense:` before it one in which everyone meets.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from benchmarks.simulations.emulated_town import GPU, TownRun, meetings_of, run_town
from scalesim.deployments.engine.emulation.forks import in_fork
from scalesim.deployments.engine.emulation.inline import import_engine
from scalesim.simulations.arm_run import Stepping
from scalesim.simulations.emulated.emulated_table import LIMITS

_RUN_S = 900.0


class SteppingVariant(NamedTuple):
    """What is compared."""

    name: str
    arm: str
    stepping: Stepping
    oracle: bool = False


VARIANTS = (
    SteppingVariant("barrier, hicache", "hicache", "barrier"),
    SteppingVariant("barrier", "scalesim", "barrier"),
    SteppingVariant("causal", "scalesim", "causal"),
    SteppingVariant("causal, hicache", "hicache", "causal"),
    SteppingVariant("oracle", "scalesim", "causal", oracle=True),
)


class TownCase(NamedTuple):
    """One town: all variants of it give the same text."""

    agents: int
    steps: int
    seed: int
    dense: bool = False


def variants(town: TownCase) -> dict[str, Any]:
    """Return the figures of all variants of a town, one after the other."""
    found: dict[str, Any] = {}
    met: Any = None
    for name, arm, stepping, oracle in VARIANTS:
        run = TownRun(arm, stepping, town.agents, town.steps, town.seed, dense=town.dense)
        known = meetings_of(met) if oracle else None
        begun = time.monotonic()
        figures = in_fork(partial(run_town, run, known), _RUN_S)
        if "fault" in figures:
            raise SystemExit(f"{town}, {name}: {figures}")
        meetings = figures.pop("meetings")
        met = met or meetings
        found[name] = figures | {"wall_s": round(time.monotonic() - begun, 1)}
        Console(stderr=True).print(town, name, found[name], soft_wrap=True)
    return found


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """Return how the variants of one town compare."""
    busy = {name: figures["busy_s"] for name, figures in found.items()}
    return {
        "over_barrier": round(busy["barrier"] / busy["causal"], 3),
        "over_hicache_with_barrier": round(busy["barrier, hicache"] / busy["causal"], 3),
        "hicache_over_barrier": round(busy["barrier, hicache"] / busy["causal, hicache"], 3),
        "of_oracle": round(busy["oracle"] / busy["causal"], 3),
    }


def main(towns: list[TownCase]) -> None:
    """Print a row for each town and variant; write JSON after each town."""
    torch.set_num_threads(1)  # others would not be there after a fork
    import_engine()
    rows: list[dict[str, Any]] = []
    table = Table("town", "variant", "busy s", "in passes", "at once", "on device", "TTFT p50, p95")
    for town in towns:
        found = variants(town)
        same = len({figures["text"] for figures in found.values()}) == 1
        rows.append({**town._asdict(), **ratios(found), "equal_text": same, "variants": found})
        for variant, one in found.items():
            ttft = ", ".join(f"{1000 * seconds:.0f}" for seconds in one["ttft_s"].values())
            cells = (f"{one['busy_s']:.3f}", f"{one['in_passes_s']:.3f}", f"{one['at_once']:.1f}")
            title = f"{town.agents}, seed {town.seed}" + (", dense" if town.dense else "")
            table.add_row(title, variant, *cells, f"{one['found']['device']:.0%}", ttft + " ms")
        write("simulations/emulated_stepping", rows, emulated=f"{GPU}:llama-3.1-8b", limits=LIMITS)
        print({key: value for key, value in rows[-1].items() if key != "variants"}, flush=True)
    Console(width=130).print(table)
    kinds = ("over_barrier", "over_hicache_with_barrier", "hicache_over_barrier", "of_oracle")
    for agents, dense in dict.fromkeys((town.agents, town.dense) for town in towns):
        of_kind = [row for row in rows if (row["agents"], row["dense"]) == (agents, dense)]
        medians = {kind: float(np.median([row[kind] for row in of_kind])) for kind in kinds}
        Console().print(f"{agents} agents{', dense' if dense else ''}, medians:", medians)


def towns_of(texts: list[str]) -> list[TownCase]:
    """Return the towns of texts like `100x24x3`: agents, steps and seeds; `dense:` before it.

    Those of one seed follow each other: a run cut short has all kinds.
    """
    towns = []
    for text in texts:
        dense, _, numbers = text.rpartition(":")
        agents, steps, seeds = map(int, numbers.split("x"))
        towns += [TownCase(agents, steps, seed, bool(dense)) for seed in range(seeds)]
    return sorted(towns, key=lambda town: town.seed)


if __name__ == "__main__":
    given = sys.argv[1:] or ["100x32x3", "500x12x3", "dense:100x6x3", "1000x8x1"]
    main(towns_of(given))
