"""Models: four fine-tunes in one engine, two of them in host memory, dealt to 24 agents in turn.

One arm is told schedules and groups requests by model; its peer is told nothing and gives one
request a turn. Beside them stands what strict arrival order would swap, replayed over the calls of
the peer. On a CPU a swap is a copy in memory; what is shown is how many there are, and equal text.

Run: python -m benchmarks.payloads.models
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from deployments.random_model import build
from deployments.stack import Stack
from scalesim.settings import ClientSettings, ModelSettings
from scalesim.transports.http import HttpTransport
from scalesim.vocabulary import MODEL
from simulations.arms import Machine, stack_settings
from simulations.checkpoint import Checkpoint
from simulations.coordinator import Pace, drive
from simulations.crowd import Target
from simulations.society import society
from simulations.summary import arm_summary
from simulations.workload import PromptSize, Workload

SEEDS = (0,)
AGENTS, MODELS, ACTIVE, STEPS = 24, 4, 0.5, 8
SIZE = PromptSize(private=256, output=8)
PACE = Pace(workers=2, concurrency=12, think_s=0.5)
TOLD, UNTOLD = "told, in turns", "untold, one at a time"


def run(arm: str, workload: Workload, machine: Machine, folder: Path) -> dict[str, Any]:
    """Run one arm and return its figures, the warm-up's swaps left out."""
    settings = stack_settings("scalesim", workload, machine)
    models = settings.engine.models
    assert models is not None
    if arm == UNTOLD:
        models = ModelSettings(**{**models.model_dump(), "turn_requests": 1})
    engine = settings.engine.model_copy(update={"models": models})
    with Stack(settings.model_copy(update={"engine": engine})) as stack:
        client = ClientSettings(base_url=stack.base_url)
        hints = client if arm == TOLD else None
        target = Target(stack.base_url, engine.served_model_name, hints, models=MODELS)
        with closing(HttpTransport(client)) as transport:
            flows = []
            ran = drive(
                workload, target, PACE, lambda *_: flows.append(flow(transport)), Checkpoint(folder)
            )
    figures = arm_summary(ran, workload)
    moved = {name: flows[-1][name] - flows[0][name] for name in flows[0]}
    order = ran.calls.rows[np.argsort(ran.calls.rows["start_s"])]["agent"] % MODELS
    swaps = moved["evicted_by_plan"] + moved["evicted_by_pressure"]
    return {
        "swaps": swaps,
        "swaps_in_arrival_order": int((np.diff(order) != 0).sum()),
        "calls_per_swap": round(figures["calls"] / max(1, swaps), 2),
        "flow": moved,
        **{name: figures[name] for name in ("calls", "busy_s", "ttft_s", "tokens_sha256")},
    }


def flow(transport: HttpTransport) -> dict[str, int]:
    """Return the counters of the only replica's moves of models."""
    (replica,) = transport.status()["replicas"].values()
    return {name: n for name, n in replica["flows"][MODEL].items() if name != "kind"}


def measure(seed: int, folder: Path) -> dict[str, Any]:
    """Return the figures of both arms on one seed."""
    workload = society(agents=AGENTS, active=ACTIVE, steps=STEPS, size=SIZE, seed=seed)
    model = build(folder / "model", seed=seed)
    machine = Machine(model, device="cpu", device_share=0.5, host_share=0.5, models=MODELS)
    arms = {arm: run(arm, workload, machine, folder / arm) for arm in (UNTOLD, TOLD)}
    assert len({arm["tokens_sha256"] for arm in arms.values()}) == 1, "text differs between arms"
    return arms


def main() -> None:
    """Print one table and write JSON."""
    table = Table("seed", "arm", "swaps", "in arrival order", "calls a swap", "TTFT p50", "busy s")
    runs = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="scalesim-models-") as folder:
            runs[seed] = measure(seed, Path(folder))
        for arm, told in runs[seed].items():
            counts = [str(told[name]) for name in ("swaps", "swaps_in_arrival_order")]
            counts += [str(told["calls_per_swap"]), f"{told['ttft_s']['p50']:.2f}"]
            table.add_row(str(seed), arm, *counts, f"{told['busy_s']:.1f}")
    Console().print(table)
    write("payloads/models", runs, agents=AGENTS, models=MODELS, active=ACTIVE, steps=STEPS)


if __name__ == "__main__":
    main()
