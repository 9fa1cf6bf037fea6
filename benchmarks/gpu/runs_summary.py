"""Several runs of an arm in one line, and arms against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.gpu.variants import PEERS, VARIANTS
from scalesim.vocabulary import TIERS

Runs = Sequence[Mapping[str, Any]]
"""What `workload_runner.drive` returned, one a seed, in the same order in every arm."""


def side_by_side(arms: Mapping[str, Runs]) -> dict[str, Any]:
    """Return each arm's figures, and its gain over the peers that ran."""
    return {
        "gains": comparison(arms),
        "arms": {arm: arm_figures(runs) for arm, runs in arms.items()},
    }


def arm_figures(runs: Runs) -> dict[str, Any]:
    """Return medians with their spread over the seeds, and the runs themselves.

    `found` are shares of the agents' private tokens by tier; `wasted` is the share of bytes moved
    ahead that left before any use, by kind.
    """
    return {
        "busy_s": _spread([run["busy_s"] for run in runs]),
        "wall_s": _spread([run["wall_s"] for run in runs]),
        "ttft_ms": {
            q: _spread([1000 * run["ttft_s"][q] for run in runs]) for q in ("p50", "p95", "p99")
        },
        "found": {
            tier: _spread([run["prefix_tokens"][tier] / _total(run) for run in runs])
            for tier in (*TIERS, "recomputed")
        },
        "wasted": {
            kind: _spread([_wasted(run["transfer"].get(kind, {})) for run in runs])
            for kind in runs[0]["transfer"]
        },
        "runs": list(runs),
    }


def comparison(arms: Mapping[str, Runs]) -> dict[str, Any]:
    """Return each arm's gain over the peers that ran, seed by seed.

    `speedup` is busy time, `end_to_end` wall time with the simulation's own pauses, `ttft` the
    share of the peer's time to first token that is saved; `same_tokens` counts the seeds in which
    the arms' answers are the same to the last token, which near ties in half precision may prevent.
    """
    result: dict[str, Any] = {}
    for arm in arms:
        if VARIANTS[arm].engine != "scalesim":
            continue
        for peer in (peer for peer in PEERS if peer in arms):
            pairs = list(zip(arms[peer], arms[arm], strict=False))
            result[f"{arm} over {peer}"] = {
                "speedup": _spread([theirs["busy_s"] / ours["busy_s"] for theirs, ours in pairs]),
                "end_to_end": _spread(
                    [theirs["wall_s"] / ours["wall_s"] for theirs, ours in pairs]
                ),
                "ttft_saved": {
                    q: _spread(
                        [1 - ours["ttft_s"][q] / theirs["ttft_s"][q] for theirs, ours in pairs]
                    )
                    for q in ("p50", "p95", "p99")
                },
                "same_tokens": sum(
                    theirs["tokens_sha256"] == ours["tokens_sha256"] for theirs, ours in pairs
                ),
            }
    return result


def _spread(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = min(values), median(values), max(values)
    return {"median": round(middle, 4), "min": round(low, 4), "max": round(high, 4)}


def _total(run: Mapping[str, Any]) -> int:
    return max(1, int(run["prefix_tokens"]["total"]))


def _wasted(transfer: Mapping[str, int]) -> float:
    return transfer.get("wasted_bytes", 0) / max(1, transfer.get("issued_bytes", 0))
