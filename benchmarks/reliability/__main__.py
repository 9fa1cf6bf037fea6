"""Every fault in turn, over and over, in a stack of two engines under load.

Run: python -m benchmarks.reliability [MINUTES] ["NAME OF A FAULT" ...]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.free_port import free_port
from benchmarks.reliability.fault_runs import FaultOutcome, FaultTrial
from benchmarks.reliability.injected_faults import FAULTS, Fault, named
from benchmarks.reliability.load import End
from benchmarks.results import write
from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import (
    EngineSettings,
    IngressSettings,
    MetricsSettings,
    StackSettings,
)

MINUTES = 30.0
KEY = "reliability"


def stack_settings(model: str) -> StackSettings:
    """Return two engines of a tiny model behind two processes of the ingress, all scraped."""
    port = free_port()
    return StackSettings(
        engine=EngineSettings(
            model_path=model, dtype="float32", device_tokens=4096, context_length=1024
        ),
        replicas=2,
        ingress=IngressSettings(port=0, api_key=KEY, processes=2),
        metrics=MetricsSettings(controller_port=port, replica_port=port + 1),
    )


async def measure(stack: Stack, minutes: float, faults: Sequence[Fault]) -> list[FaultOutcome]:
    """Return what each of some faults did, for so long."""
    trial, outcomes = FaultTrial(stack, KEY), []
    await trial.prepare()
    deadline = time.monotonic() + 60 * minutes
    try:
        while time.monotonic() < deadline:
            for fault in faults:
                outcomes.append(await trial.inject(fault))
                print(outcomes[-1], flush=True)
                if time.monotonic() > deadline:
                    break
    finally:
        await trial.close()
    return outcomes


def figures(fault: Fault, outcomes: list[FaultOutcome]) -> dict[str, Any]:
    """Return what one kind of fault did in all."""
    served = [outcome.served_s for outcome in outcomes]
    back = [outcome.back_s for outcome in outcomes]
    ends = {end.name.lower(): sum(outcome.ends[end] for outcome in outcomes) for end in End}
    return {
        "fault": fault.name,
        "injected": len(outcomes),
        **ends,
        "served_p50_s": round(median(served), 2),
        "served_max_s": round(max(served), 2),
        "goal_s": fault.healed_within_s,
        "back_p50_s": round(median(back), 1),
        "back_max_s": round(max(back), 1),
        "violations": sorted({line for outcome in outcomes for line in outcome.broken}),
    }


def main() -> None:
    """Print one table and write the figures."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    faults = [named(name) for name in sys.argv[2:]] or FAULTS
    with tempfile.TemporaryDirectory() as folder:
        model = str(build(Path(folder) / "tiny", size="tiny"))
        with Stack(stack_settings(model)) as stack:
            outcomes = asyncio.run(measure(stack, minutes, faults))
    by_fault = defaultdict(list)
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    rows = [figures(fault, by_fault[fault.name]) for fault in FAULTS if fault.name in by_fault]
    table = Table(
        "fault", "times", "answered", "half way", "cut", "lost", "served p50, max", "back"
    )
    for row in rows:
        other = row["wrong"] + row["refused"] + row["hung"]
        table.add_row(
            row["fault"],
            str(row["injected"]),
            str(row["answered"]),
            str(row["broken"]),
            str(row["cut"]),
            str(other),
            f"{row['served_p50_s']}, {row['served_max_s']} s of {row['goal_s']}",
            f"{row['back_p50_s']}, {row['back_max_s']} s",
        )
    console = Console()
    console.print(table)
    for row in rows:
        for line in row["violations"]:
            console.print(f"{row['fault']}: {line}")
    write("reliability", rows, minutes=minutes)


if __name__ == "__main__":
    main()
