"""Adapters: three times as many as slots, a share of them due in each step, schedules reported.

On a CPU a slot is filled in less than a millisecond, so what is shown is how many requests find
their adapter in its slot, and that arms return equal text. The peer is least recently used, as
SGLang evicts, replayed over the same calls.

Run: python -m benchmarks.payloads.adapters [SEEDS]
"""

from __future__ import annotations

import sys
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.deployments.random_model import build
from scalesim.settings import Arm
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine
from scalesim.simulations.comparison import compare, document, require_equal_tokens
from scalesim.simulations.scheduled_world import scheduled
from scalesim.simulations.society import society
from scalesim.simulations.workload import PromptSize, Workload
from scalesim.vocabulary import ADAPTER

ARMS: tuple[Arm, ...] = ("hicache", "scalesim")
AGENTS, ACTIVE, STEPS, SHARE = 24, 0.125, 16, 1 / 3
SIZE = PromptSize(private=256, output=8)
RUN_OPTIONS = RunOptions(workers=2, concurrency=4, think_s=0.5)


def least_recently_used(workload: Workload, slots: int) -> float:
    """Return the share of calls after the warm-up that find their adapter, least recent out."""
    held: OrderedDict[int, None] = OrderedDict()
    found = []
    for step in range(workload.steps + 1):
        for row in workload.schedule.calls(step).tolist():
            if step:
                found.append(row in held)
            held[row] = None
            held.move_to_end(row)
            if len(held) > slots:
                held.popitem(last=False)
    return sum(found) / len(found)


def measure(seed: int, folder: Path) -> dict[str, Any]:
    """Run both arms on one seed and return the figures.

    Raises:
        TokensDifferError: The arms returned different text.
    """
    workload = society(agents=AGENTS, active=ACTIVE, steps=STEPS, size=SIZE, seed=seed)
    model = build(folder / "model", seed=seed)
    machine = ArmMachine(model, device="cpu", device_share=SHARE, adapters=AGENTS)
    outcomes = compare(ARMS, scheduled(workload), machine, RUN_OPTIONS, folder / "kept")
    require_equal_tokens(outcomes, workload)
    (replica,) = outcomes["scalesim"].status["replicas"].values()
    transfer = replica["transfers"][ADAPTER]
    arms = document(outcomes, workload)["arms"]
    return {
        "found": arms["scalesim"]["found"][ADAPTER],
        "found_least_recently_used": least_recently_used(workload, int(SHARE * AGENTS)),
        "transfer": transfer,
        "busy_s": {arm: figures["busy_s"] for arm, figures in arms.items()},
    }


def main() -> None:
    """Print one table and write JSON."""
    table = Table("seed", "found in a slot", "least recently used", "wasted")
    runs = {}
    for seed in range(int(sys.argv[1]) if sys.argv[1:] else 3):
        with tempfile.TemporaryDirectory(prefix="scalesim-adapters-") as folder:
            run = runs[seed] = measure(seed, Path(folder))
        transfer = run["transfer"]
        table.add_row(
            str(seed),
            f"{run['found']:.1%}",
            f"{run['found_least_recently_used']:.1%}",
            f"{transfer['wasted_bytes'] / max(1, transfer['issued_bytes']):.1%}",
        )
    Console().print(table)
    write("payloads/adapters", runs, agents=AGENTS, active=ACTIVE, steps=STEPS)


if __name__ == "__main__":
    main()
