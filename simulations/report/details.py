"""Everything that was measured in one arm: by step, by role, and what the stack says of itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesim.simulations.arms import ArmMachine, ArmOutcome
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.report.orders import on_device
from scalesim.simulations.summary import percentiles
from scalesim.simulations.workload import Workload
from scalesim.vocabulary import TIERS

_MOST_ROLES = 12
"""Names that are all different say nothing of roles."""

_FASTEST = 5  # percent of calls that found everything in place and did not queue


def details(
    outcome: ArmOutcome, workload: Workload, machine: ArmMachine, floor_s: float
) -> dict[str, Any]:
    """Return an arm's measurements, ready for JSON.

    Args:
        outcome: The arm's.
        workload: What it ran.
        machine: What it ran on.
        floor_s: Time to first token of a call that waits for nothing, from `fastest_s`.
    """
    run, rows = outcome.run, outcome.run.calls.rows
    return {
        "resumed_after_step": run.resumed_after,
        "warmup_s": round(run.warmup_s, 3),
        "warmup_errors": run.warmup.failed,
        **_figures(run.calls, np.ones(len(rows), np.bool_)),
        "stall_s": round(float(np.nansum((rows["ttft_s"] - floor_s).clip(min=0))), 3),
        "on_device": on_device(run, workload, machine),
        "steps": list(_steps(outcome, workload)),
        "roles": dict(_roles(run.calls, workload)),
        "calls_by_replica": dict(Counter(rows["replica"].tolist())),
        "first_errors": [error for error in run.calls.errors if error][:5],
        "hints": run.hints._asdict(),
        "hint_quality": hint_quality(outcome.status),
        "prefetches": prefetches(outcome.status),
        "status": outcome.status,
    }


def fastest_s(outcomes: Iterable[ArmOutcome]) -> float:
    """Return the time to first token that the fastest twentieth of all arms' calls stays within."""
    ttft = np.concatenate([outcome.run.calls.rows["ttft_s"] for outcome in outcomes])
    return float(np.nanpercentile(ttft, _FASTEST)) if not np.isnan(ttft).all() else 0.0


def roles(agents: Iterable[str]) -> list[str]:
    """Return the role of each agent: its name without the number at its end.

    Where that leaves more than a dozen different ones, all are `agent`.
    """
    found = [re.sub(r"[-_ .]?\d+$", "", agent) or "agent" for agent in agents]
    return found if len(set(found)) <= _MOST_ROLES else ["agent"] * len(found)


def prefetches(status: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return counts and bytes of prefetches by kind, over all replicas."""
    total: dict[str, Counter[str]] = {}
    for replica in status.get("replicas", {}).values():
        for kind, transfer in replica["transfers"].items():
            counts = {name: value for name, value in transfer.items() if isinstance(value, int)}
            total.setdefault(kind, Counter()).update(counts)
    return {kind: dict(counts) for kind, counts in total.items()}


def hint_quality(status: dict[str, Any]) -> dict[str, Any]:
    """Return how the hints compare with the requests that came; empty where none was compared.

    Shares are of all requests; error and age are steps, on average over those with a distance.
    """
    uses = status.get("uses", {})
    total = sum(uses.values())
    reported = total - uses.get("none", 0)
    if not reported:
        return {}
    steps = {name: round(value / reported, 3) for name, value in status["hints"].items()}
    return {"coverage": reported / total, "exact": uses["0"] / total, **steps, "uses": uses}


def _steps(outcome: ArmOutcome, workload: Workload) -> Iterator[dict[str, Any]]:
    calls = outcome.run.calls
    for step in range(1, workload.steps + 1):
        here = calls.rows["step"] == step
        if not here.any():  # nobody asked anything
            continue
        slowest = calls.rows[here][np.argmax(calls.rows["latency_s"][here])]
        yield {
            "step": step,
            "seconds": round(float(outcome.run.step_s[step - 1]), 4),
            **_figures(calls, here),
            "slowest": workload.agents[slowest["agent"]],
            "slowest_s": round(float(slowest["latency_s"]), 4),
        }


def _roles(calls: CallTable, workload: Workload) -> Iterator[tuple[str, dict[str, Any]]]:
    names, number = np.unique(roles(workload.agents), return_inverse=True)
    of_call = number[calls.rows["agent"]]
    for role, name in enumerate(names.tolist()):
        agents = int(np.count_nonzero(number == role))
        yield name, {"agents": agents, **_figures(calls, of_call == role)}


def _figures(calls: CallTable, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Return calls, errors, tokens in, out and cached, and percentiles of times."""
    rows = calls.rows[chosen]
    failed = np.array([bool(error) for error in calls.errors], np.bool_)
    counted = ("prompt", "output", *TIERS)
    return {
        "calls": len(rows),
        "errors": int(np.count_nonzero(failed & chosen)),
        "tokens": {name: int(rows[f"{name}_tokens"].sum()) for name in counted},
        "ttft_s": percentiles(rows["ttft_s"]),
        "latency_s": percentiles(rows["latency_s"]),
    }
