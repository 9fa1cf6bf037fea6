"""Activity, device share and wrong hints: where it stops paying.

Run: python -m benchmarks.gpu.sweep [--only activity] [--small]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.gpu.engines import Setup
from benchmarks.gpu.gains_table import print_gains
from benchmarks.gpu.options import Options, main
from benchmarks.gpu.result_file import ResultFile
from benchmarks.gpu.trials import Field, Trial, compare
from benchmarks.gpu.workloads import played
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.workload import PromptSize

ARMS = ("hicache", "scalesim")
ACTIVITY = (0.02, 0.05, 0.1, 0.35, 0.5)
SHARES = (0.05, 0.1, 0.5)
NOISE = (0.5, 1.0, 2.0, math.inf)
MIDDLE = {"activity": 0.2, "share": 0.25, "noise": 0.0}
"""What is held still while one of them is varied; run once, as `middle`."""

PAYS = 1.02
"""Least speedup that counts: below it is the noise of a run."""


async def run(options: Options) -> bool:
    """Vary one thing at a time and say up to where it pays."""
    small = options.small
    setup = (
        Setup("tiny", 50, PromptSize(256, 16, 4), dtype="float32")
        if small
        else Setup("llama-3.1-8b", 250, PromptSize(1024, 64, 16))
    )
    calls, seeds = (8, (0,)) if small else (200, (0, 1, 2))

    def trial(name: str, active: float = MIDDLE["activity"], sigma: float = 0.0) -> Trial:
        made = [played("society", setup.agents, calls, setup.size, s, active) for s in seeds]
        return Trial(name, made, sigma)

    at_middle = [
        trial("middle"),
        *(trial(f"noise {sigma:g}", sigma=sigma) for sigma in NOISE),
        *(trial(f"activity {active:g}", active) for active in ACTIVITY),
    ]
    results = ResultFile("sweep", options.out, options.minutes, middle=MIDDLE, pays=PAYS)
    run_options = RunOptions(workers=1, think_s=0.2)
    groups = [(MIDDLE["share"], at_middle), *((s, [trial(f"share {s:g}")]) for s in SHARES)]
    for share, trials in groups:
        wanted = [trial for trial in trials if options.wants(trial.name)]
        field = Field(setup._replace(device_share=share), run_options, options.scratch)
        if wanted and results.room(f"share {share:g}", 0.0):
            await compare(ARMS, wanted, field, results)
    results.add("stops_paying", stops_paying(results.figures))
    print_gains({name: line for name, line in results.figures.items() if name != "stops_paying"})
    return True


def stops_paying(lines: Mapping[str, Any]) -> dict[str, Any]:
    """Return for each thing varied the speedup at each value, and the values that do not pay."""
    result: dict[str, Any] = {}
    for axis, middle in MIDDLE.items():
        gains = {
            middle if name == "middle" else float(name.split()[1]): line["gains"]
            for name, line in lines.items()
            if name == "middle" or name.startswith(axis)
        }
        speedup = {
            f"{value:g}": pairs["scalesim over hicache"]["speedup"]["median"]
            for value, pairs in sorted(gains.items())
            if pairs
        }
        losing = [value for value, gain in speedup.items() if gain < PAYS]
        result[axis] = {"speedup": speedup, "does_not_pay_at": losing}
    return result


if __name__ == "__main__":
    main(run)
