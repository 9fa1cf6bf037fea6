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
    """Return what each of some faults did, for so long or until one left the stack broken."""
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
    except TimeoutError as error:
        print(f"ended early: {error}", flush=True)
    finally:
        await trial.close()
    return outcomes


def figures(fault: Fault, outcomes: list[FaultOutcome], started_s: float) -> dict[str, Any]:
    """Return what one kind of fault did in all.

    Args:
        fault: Which one.
        outcomes: What it did each time.
        started_s: That the stack took to start.
    """
    ends = {end.name.lower(): sum(outcome.ends[end] for outcome in outcomes) for end in End}
    return {
        "fault": fault.name,
        "injected": len(outcomes),
        **ends,
        **_spread("served", [each.served_s for each in outcomes], fault.healed_within_s),
        **_spread("out", [each.out_s for each in outcomes], fault.out_within_s),
        **_spread("back", [each.back_s for each in outcomes], fault.back_within_s or started_s),
        **_spread("connections_failed", [each.failed_s for each in outcomes], 0.0),
        "violations": sorted({line for outcome in outcomes for line in outcome.broken}),
    }


def _spread(name: str, seconds: Sequence[float | None], goal_s: float | None) -> dict[str, Any]:
    known = [each for each in seconds if each is not None]
    return {
        f"{name}_p50_s": round(median(known), 2) if known else None,
        f"{name}_max_s": round(max(known), 2) if known else None,
        f"{name}_goal_s": None if goal_s is None else round(goal_s, 1),
    }


def shown(rows: list[dict[str, Any]]) -> Table:
    """Return figures as people read them; `!` where the longest missed its goal."""
    table = Table("fault", "times", "answered", "half way", "cut", "lost", *_TIMES.values())
    for row in rows:
        other = row["wrong"] + row["refused"] + row["hung"]
        counts = (row["injected"], row["answered"], row["broken"], row["cut"], other)
        table.add_row(row["fault"], *map(str, counts), *(_times(row, name) for name in _TIMES))
    return table


_TIMES = {
    "served": "served again",
    "out": "out of rotation",
    "back": "all parts back",
    "connections_failed": "no connections",
}


def _times(row: dict[str, Any], name: str) -> str:
    half, most, goal = (row[f"{name}_{which}_s"] for which in ("p50", "max", "goal"))
    if most is None:
        return "" if goal is None else "never!"
    missed = "!" if goal is not None and most > goal else ""
    return f"{half}, {most} of {goal} s{missed}"


def main() -> None:
    """Print one table and write the figures; fail where a fault did more than it may."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    faults = [named(name) for name in sys.argv[2:]] or FAULTS
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = str(build(Path(folder) / "tiny", size="tiny"))
        with Stack(stack_settings(model)) as stack:
            started_s = time.monotonic() - began
            print(f"started in {started_s:.0f} s", flush=True)
            outcomes = asyncio.run(measure(stack, minutes, faults))
    by_fault = defaultdict(list)
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    known = [fault for fault in FAULTS if fault.name in by_fault]
    rows = [figures(fault, by_fault[fault.name], started_s) for fault in known]
    console = Console(width=200)
    console.print(shown(rows))
    for row in rows:
        for line in row["violations"]:
            console.print(f"{row['fault']}: {line}")
    write("reliability", rows, minutes=minutes, started_s=round(started_s, 1))
    sys.exit(any(row["violations"] for row in rows))


if __name__ == "__main__":
    main()
