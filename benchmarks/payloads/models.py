"""Models: fine-tunes in one engine, half of them in host memory, dealt to agents in turn.

Three arms take what is ours apart: no hints and one request a turn, no hints and requests
grouped by model, schedules reported as well. In a crowd every model has agents in every step, so
that only grouping can save swaps; apart, each agent has its own and few act, so that distances can.
Beside them stands what strict arrival order would swap, replayed over the calls of each. On a CPU a
swap is a copy in memory.

Run: python -m benchmarks.payloads.models crowd|apart
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import ClientSettings, ModelSettings
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine, stack_settings
from scalesim.simulations.scheduled_world import scheduled
from scalesim.simulations.society import society
from scalesim.simulations.summary import arm_summary
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize, Workload
from scalesim.transports.http import HttpTransport
from scalesim.vocabulary import MODEL

SEEDS = (0,)
SIZE = PromptSize(private=256, output=8)
RUN_OPTIONS = RunOptions(workers=2, concurrency=12, think_s=0.5)


class FineTunes(NamedTuple):
    """Who lives on one engine."""

    agents: int
    models: int
    active: float
    steps: int


POPULATIONS = {"crowd": FineTunes(24, 4, 0.5, 8), "apart": FineTunes(12, 12, 1 / 6, 16)}


class ModelsArm(NamedTuple):
    """What is ours: whether schedules are reported, and how many requests a model's turn has."""

    reports: bool
    turn_requests: int


ARMS = {
    "no hints, one at a time": ModelsArm(False, 1),
    "no hints, in turns": ModelsArm(False, 64),
    "reported, in turns": ModelsArm(True, 64),
}


def run(arm: ModelsArm, workload: Workload, machine: ArmMachine, folder: Path) -> dict[str, Any]:
    """Run one arm and return its figures, the warm-up's swaps left out."""
    settings = stack_settings("scalesim", workload, machine)
    models = settings.engine.models
    assert models is not None
    models = ModelSettings(**{**models.model_dump(), "turn_requests": arm.turn_requests})
    engine = settings.engine.model_copy(update={"models": models})
    with Stack(settings.model_copy(update={"engine": engine})) as stack:
        client = ClientSettings(base_url=stack.base_url)
        hints = client if arm.reports else None
        target = Target(stack.base_url, engine.served_model_name, hints, models=machine.models)
        with closing(HttpTransport(client)) as transport:
            transfers = []
            watch = lambda *_: transfers.append(transfer(transport))  # noqa: E731
            ran = scheduled(workload)(target, RUN_OPTIONS, watch, folder)
    figures = arm_summary(ran, workload)
    moved = {name: transfers[-1][name] - transfers[0][name] for name in transfers[0]}
    order = ran.calls.rows[np.argsort(ran.calls.rows["start_s"])]["agent"] % machine.models
    swaps = moved["evicted_by_plan"] + moved["evicted_by_pressure"]
    return {
        "swaps": swaps,
        "swaps_in_arrival_order": int((np.diff(order) != 0).sum()),
        "calls_per_swap": round(figures["calls"] / max(1, swaps), 2),
        "transfer": moved,
        **{
            name: figures[name]
            for name in ("calls", "busy_s", "ttft_s", "prefix_tokens", "tokens_sha256")
        },
    }


def transfer(transport: HttpTransport) -> dict[str, int]:
    """Return the counters of the only replica's moves of models."""
    (replica,) = transport.status()["replicas"].values()
    return {name: n for name, n in replica["transfers"][MODEL].items() if name != "kind"}


def measure(population: FineTunes, seed: int, folder: Path) -> dict[str, Any]:
    """Return the figures of all arms on one seed."""
    agents, models, active, steps = population
    workload = society(agents=agents, active=active, steps=steps, size=SIZE, seed=seed)
    model = build(folder / "model", seed=seed)
    machine = ArmMachine(model, device="cpu", device_share=0.5, host_share=0.5, models=models)
    arms = {name: run(arm, workload, machine, folder / name) for name, arm in ARMS.items()}
    assert len({arm["tokens_sha256"] for arm in arms.values()}) == 1, "text differs between arms"
    return arms


def main() -> None:
    """Print one table and write JSON."""
    name = sys.argv[1] if sys.argv[1:] else "crowd"
    population = POPULATIONS[name]
    columns = ("seed", "arm", "swaps", "in arrival order", "calls a swap", "late", "wasted")
    table = Table(*columns, "TTFT p50", "busy s", title=name)
    runs = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="scalesim-models-") as folder:
            runs[seed] = measure(population, seed, Path(folder))
        for arm, figures in runs[seed].items():
            counts = [str(figures[name]) for name in ("swaps", "swaps_in_arrival_order")]
            counts += [str(figures["calls_per_swap"]), str(figures["transfer"]["late"])]
            counts += [f"{figures['transfer']['wasted']}/{figures['transfer']['issued']}"]
            table.add_row(
                *(
                    str(seed),
                    arm,
                    *counts,
                    f"{figures['ttft_s']['p50']:.2f}",
                    f"{figures['busy_s']:.1f}",
                )
            )
    Console().print(table)
    write(f"payloads/models_{name}", runs, **population._asdict())


if __name__ == "__main__":
    main()
