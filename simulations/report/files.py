"""Writes `report.json`, everything that was measured, and `report.html`, the same to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from simulations.arms import Machine, Outcome
from simulations.comparison import Outcomes
from simulations.coordinator import Pace
from simulations.report.page import render
from simulations.report.provenance import provenance
from simulations.summary import TIERS, percentiles
from simulations.workload import Workload


def write_report(
    folder: Path,
    result: dict[str, Any],
    outcomes: Outcomes,
    workload: Workload,
    machine: Machine,
    pace: Pace,
) -> None:
    """Write both files into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        **result,
        "run": provenance(workload, machine, pace),
        "details": {arm: _details(outcome, workload) for arm, outcome in outcomes.items()},
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "report.html").write_text(render(report, outcomes, workload))


def _details(outcome: Outcome, workload: Workload) -> dict[str, Any]:
    run, rows = outcome.run, outcome.run.calls.rows
    names, counts = np.unique(rows["replica"], return_counts=True)
    return {
        "resumed_after_step": run.resumed_after,
        "warmup_s": round(run.warmup_s, 3),
        "warmup_errors": run.warmup.failed,
        "latency_s": percentiles(rows["latency_s"]),
        "tokens": {
            "prompt": int(rows["prompt_tokens"].sum()),
            "output": int(rows["output_tokens"].sum()),
            **{tier: int(rows[f"{tier}_tokens"].sum()) for tier in TIERS},
        },
        "steps": _steps(outcome, workload),
        "calls_by_replica": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "first_errors": [error for error in run.calls.errors if error][:5],
        "hints": run.hints._asdict(),
        "status": outcome.status,
    }


def _steps(outcome: Outcome, workload: Workload) -> list[dict[str, Any]]:
    rows, steps = outcome.run.calls.rows, []
    for step in range(1, workload.steps + 1):
        calls = rows[rows["step"] == step]
        slowest = calls[np.argmax(calls["latency_s"])]
        steps.append(
            {
                "step": step,
                "seconds": round(float(outcome.run.step_s[step - 1]), 4),
                "calls": len(calls),
                **{f"{tier}_tokens": int(calls[f"{tier}_tokens"].sum()) for tier in TIERS},
                "prompt_tokens": int(calls["prompt_tokens"].sum()),
                "slowest": workload.agents[slowest["agent"]],
                "slowest_s": round(float(slowest["latency_s"]), 4),
            }
        )
    return steps
