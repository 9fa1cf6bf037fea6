"""Writes `report.json`, everything that was measured, and `report.html`, the same to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine
from scalesim.simulations.comparison import Outcomes
from scalesim.simulations.report.details import details, fastest_s
from scalesim.simulations.report.page import render
from scalesim.simulations.report.provenance import provenance
from scalesim.simulations.workload import Workload


def write_report(
    folder: Path,
    result: dict[str, Any],
    outcomes: Outcomes,
    workload: Workload,
    machine: ArmMachine,
    run_options: RunOptions,
    said: Sequence[str] = (),
) -> None:
    """Write both files into `folder`, which is made if need be; `said` is who said what."""
    folder.mkdir(parents=True, exist_ok=True)
    floor_s = fastest_s(outcomes.values())
    report = {
        **result,
        "run": provenance(workload, machine, run_options),
        "details": {
            arm: details(outcome, workload, machine, floor_s) for arm, outcome in outcomes.items()
        },
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "report.html").write_text(render(report, outcomes, workload, said))
