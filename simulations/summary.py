"""One arm in numbers, and arms against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalesim.simulations.arm_run import Run
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.workload import Workload
from scalesim.vocabulary import TIERS

PERCENTILES = (50, 95, 99)


def arm_summary(run: Run, workload: Workload) -> dict[str, Any]:
    """Return an arm's figures: seconds, tokens and counts, ready for JSON.

    `prefix_tokens` counts the agents' private tokens over all calls, by the tier they were found
    in; `tokens_sha256` is over everything the calls returned.
    """
    return {
        "wall_s": round(run.wall_s, 3),
        "think_s": round(run.think_s, 3),
        "busy_s": round(run.busy_s, 3),
        "ttft_s": percentiles(run.calls.rows["ttft_s"]),
        "prefix_tokens": prefix_tokens(run.calls, workload.size.private),
        "calls": len(run.calls.texts),
        "errors": run.calls.failed,
        "tokens_sha256": run.calls.tokens_sha256(),
    }


def percentiles(seconds: Any) -> dict[str, float | None]:
    """Return p50, p95 and p99, ignoring nan; None where nothing was measured."""
    measured = seconds[~np.isnan(seconds)]
    if not measured.size:
        return {f"p{q}": None for q in PERCENTILES}
    values = np.percentile(measured, PERCENTILES)
    return {f"p{q}": round(float(v), 4) for q, v in zip(PERCENTILES, values, strict=True)}


def prefix_tokens(calls: CallTable, private: int) -> dict[str, int]:
    """Return private tokens by the tier they were found in.

    A call's cached tokens begin with its prefix, so a tier counts for the prefix as far as it
    reaches into the first `private` tokens, hottest tier first. Shorter prompts count whole.
    """
    prompts = np.minimum(calls.rows["prompt_tokens"], private)
    left = prompts
    found = {}
    for tier in TIERS:
        here = np.minimum(calls.rows[f"{tier}_tokens"], left)
        left = left - here
        found[tier] = int(here.sum())
    return {"total": int(prompts.sum()), **found, "recomputed": int(left.sum())}


def speedup(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return how many times busier the peers were than `scalesim`, for the peers that ran."""
    if "scalesim" not in arms:
        return {}
    ours = arms["scalesim"]["busy_s"]
    return {
        f"over_{peer}": round(arms[peer]["busy_s"] / ours, 3)
        for peer in ("stock", "hicache")
        if peer in arms
    }
