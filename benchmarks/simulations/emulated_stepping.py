"""Stepping out of order on an emulated GPU, with distances and without, against an oracle.

The oracle knows from the run with the barrier who really met whom, and waits for nobody else.

Run: python -m benchmarks.simulations.emulated_stepping [TOWN ...]

A TOWN is AGENTSxSTEPSxSEEDS, with `dense:` before it one in which everyone meets, with `@SLOTS`
behind it one whose engine runs so many requests at once.
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

SLOTS = 256
"""Requests that an engine runs at once: as many as turns are under way."""

RATIOS = (
    "over_barrier",
    "over_hicache_with_barrier",
    "hicache_over_barrier",
    "of_oracle",
    "over_no_steps",
)


class SteppingVariant(NamedTuple):
    """What is compared."""

    name: str
    arm: str
    stepping: Stepping
    oracle: bool = False
    ordered: bool = True


VARIANTS = (
    SteppingVariant("barrier, hicache", "hicache", "barrier"),
    SteppingVariant("barrier", "scalesim", "barrier"),
    SteppingVariant("causal", "scalesim", "causal"),
    SteppingVariant("causal, no steps", "scalesim", "causal", ordered=False),
    SteppingVariant("causal, hicache", "hicache", "causal"),
    SteppingVariant("oracle", "scalesim", "causal", oracle=True),
)


class TownCase(NamedTuple):
    """One town: all variants of it give the same text."""

    agents: int
    steps: int
    seed: int
    dense: bool = False
    slots: int = SLOTS

    @property
    def title(self) -> str:
        """A title for people, without the seed."""
        slots = f", {self.slots} at once" if self.slots != SLOTS else ""
        return f"{self.agents}{', dense' if self.dense else ''}{slots}"


def variants(town: TownCase) -> dict[str, Any]:
    """Return the figures of all variants of a town, one after the other."""
    found: dict[str, Any] = {}
    met: Any = None
    for name, arm, stepping, oracle, ordered in VARIANTS:
        run = TownRun(
            arm,
            stepping,
            town.agents,
            town.steps,
            town.seed,
            dense=town.dense,
            slots=town.slots,
            ordered=ordered,
        )
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
        "over_no_steps": round(busy["causal, no steps"] / busy["causal"], 3),
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
            title = f"{town.title}, seed {town.seed}"
            table.add_row(title, variant, *cells, f"{one['found']['device']:.0%}", ttft + " ms")
        write("simulations/emulated_stepping", rows, emulated=f"{GPU}:llama-3.1-8b", limits=LIMITS)
        print({key: value for key, value in rows[-1].items() if key != "variants"}, flush=True)
    Console(width=130).print(table)
    for title in dict.fromkeys(town.title for town in towns):
        alike = [row for row, town in zip(rows, towns, strict=True) if town.title == title]
        medians = {kind: float(np.median([row[kind] for row in alike])) for kind in RATIOS}
        Console().print(f"{title} agents, medians:", medians)


def towns_of(texts: list[str]) -> list[TownCase]:
    """Return the towns of texts like `100x24x3`, `dense:100x6x3` or `500x12x3@32`.

    Those of one seed follow each other: a run cut short has all kinds.
    """
    towns = []
    for text in texts:
        dense, _, sizes = text.rpartition(":")
        numbers, _, slots = sizes.partition("@")
        agents, steps, seeds = map(int, numbers.split("x"))
        more = bool(dense), int(slots or SLOTS)
        towns += [TownCase(agents, steps, seed, *more) for seed in range(seeds)]
    return sorted(towns, key=lambda town: town.seed)


if __name__ == "__main__":
    given = sys.argv[1:] or ["100x32x3", "500x12x3", "dense:100x6x3", "1000x8x1"]
    main(towns_of(given))
