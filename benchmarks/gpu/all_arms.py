"""The society and every class of simulation in five arms, with and without distinct adapters.

Run: python -m benchmarks.gpu.all_arms [--only 8b-250] [--small]
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.gpu.engines import Setup
from benchmarks.gpu.gains_table import print_gains
from benchmarks.gpu.options import Options, main
from benchmarks.gpu.result_file import ResultFile
from benchmarks.gpu.trials import Field, Trial, compare
from benchmarks.gpu.variants import VARIANTS
from benchmarks.gpu.workloads import CLASSES, played
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.workload import PromptSize

SEEDS = (0, 1, 2)
ACTIVE = 0.2


class Scenario(NamedTuple):
    """Some classes of simulation on one setup.

    Attributes:
        name: Beginning of the names of its lines.
        setup: Of the engines.
        classes: Of simulations.
        calls: In each run, about, after the warm-up.
    """

    name: str
    setup: Setup
    classes: tuple[str, ...] = ("society",)
    calls: int = 300


def _size(private: int) -> PromptSize:
    return PromptSize(private, observation=64, output=16)


# Private tokens shrink as agents grow, so that the host tier stays within 80 GB.
FULL = (
    Scenario("8b-250", Setup("llama-3.1-8b", 250, _size(1024))),
    Scenario("8b-125-adapters", Setup("llama-3.1-8b", 125, _size(2048), adapters=125, rank=64)),
    Scenario("1b-250", Setup("llama-3.2-1b", 250, _size(2048)), CLASSES),
    Scenario("8b-1000", Setup("llama-3.1-8b", 1000, _size(384)), calls=600),
    Scenario("8b-500", Setup("llama-3.1-8b", 500, _size(768)), calls=400),
    Scenario("8b-125", Setup("llama-3.1-8b", 125, _size(2048))),
    Scenario("1b-1000", Setup("llama-3.2-1b", 1000, _size(1024)), calls=600),
    Scenario("1b-250-adapters", Setup("llama-3.2-1b", 250, _size(2048), adapters=250, rank=64)),
)
_TINY = Setup("tiny", 12, PromptSize(256, 16, 4), dtype="float32", distinct=True)
SMALL = (
    Scenario("tiny-12", _TINY, ("society", "workflow"), calls=12),
    Scenario("tiny-12-adapters", _TINY._replace(adapters=8), calls=12),
)


async def run(options: Options) -> bool:
    """Run the scenarios wanted, most telling first, for as long as there is time."""
    results = ResultFile(
        "arms", options.out, options.minutes, arms={a: v.about for a, v in VARIANTS.items()}
    )
    run_options = RunOptions(workers=1, think_s=0.2)
    seeds = SEEDS[:1] if options.small else SEEDS
    for scenario in filter(lambda each: options.wants(each.name), SMALL if options.small else FULL):
        setup = scenario.setup
        trials = [
            Trial(
                f"{scenario.name} {name}",
                [
                    played(name, setup.agents, scenario.calls, setup.size, seed, ACTIVE)
                    for seed in seeds
                ],
            )
            for name in scenario.classes
        ]
        if results.room(scenario.name, 0.0):
            await compare(
                list(VARIANTS), trials, Field(setup, run_options, options.scratch), results
            )
    print_gains(results.figures)
    return True


if __name__ == "__main__":
    main(run)
