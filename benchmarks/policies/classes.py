"""Every class of simulation: what being told, and not being told, is worth.

Two settings: plain demand caching (hit ratios, in points), and the timeline with one link (share
of the oracle's saving of stall time). LRU and the oracle run beside everything.

    python -m benchmarks.policies.classes [SEEDS]
"""

import sys
from statistics import mean

import numpy as np

from benchmarks.policies.results import write
from policies.distance.learned import LEARNERS
from policies.replay.case import Case
from policies.replay.guard import guarded
from policies.replay.hints import Hints, expiring, foreseen_hints, told_hints
from policies.replay.learned import learned_hints
from policies.replay.run import POLICIES
from policies.replay.trace import Trace
from policies.workloads import WORKLOADS, Workload, generate

AGENTS, CAPACITY = 100, 0.2
EVERYONE_ACTS = ("round-robin", "shuffled")


def lies(trace: Trace) -> Hints:
    """Turn the told order around: the next is said to be last, the absent to be next."""
    told = told_hints(trace)
    distance = told.due - told.at
    wrong = np.where(np.isfinite(distance), told.at + 1e6 / (1 + distance), told.at + 1.0)
    return expiring(told._replace(due=wrong), 2 * len(trace.agent) / (trace.step[-1] + 1))


def hit_ratios(workload: Workload) -> dict[str, float]:
    """Return hit ratios without prefetch, in percent."""
    trace = workload.trace
    told, untold = (Case(trace, CAPACITY, hints, prefetch=False) for hints in ("told", "learned"))

    def percent(hints: Hints) -> float:
        return 100 * float(told.follow(hints).hits.mean())

    def quality(hints: Hints) -> np.ndarray:
        return told.follow(hints).hits.astype(float)

    single = {name: percent(learned_hints(trace, make(AGENTS))) for name, make in LEARNERS.items()}
    return {
        "lru": 100 * float(POLICIES["lru"](told).hits.mean()),
        "told": percent(told.hints),
        "estimator": percent(guarded(trace, [foreseen_hints(*workload)], quality)),
        "untold": percent(untold.hints),
        "best_single": max(single.values()),
        "lies": percent(guarded(trace, [lies(trace)], quality)),
        "oracle": percent(told.following),
    }


def savings(workload: Workload) -> dict[str, float]:
    """Return the share of the oracle's saving of stall time over LRU, in percent."""
    trace = workload.trace
    told, untold = (Case(trace, CAPACITY, hints) for hints in ("told", "learned"))

    def quality(hints: Hints) -> np.ndarray:
        return 1.0 - told.follow(hints).stall_s / told.load_s[trace.agent]

    lru_s = POLICIES["lru"](told).stall_s.sum()
    best_s = lru_s - told.follow(told.following).stall_s.sum()
    chosen = {
        "told": told.hints,
        "estimator": guarded(trace, [foreseen_hints(*workload)], quality),
        "untold": untold.hints,
        "lies": guarded(trace, [lies(trace)], quality),
    }
    return {
        name: 100 * float((lru_s - told.follow(hints).stall_s.sum()) / best_s)
        for name, hints in chosen.items()
    }


def main(seeds: int) -> None:
    """Run all classes and print one table a setting."""
    rows = {}
    for name in WORKLOADS:
        steps = 60 if name in EVERYONE_ACTS else 250
        runs = [generate(name, AGENTS, steps, seed) for seed in range(seeds)]
        hits, saved = [hit_ratios(run) for run in runs], [savings(run) for run in runs]
        rows[name] = {
            "hit_percent": {key: mean(run[key] for run in hits) for key in hits[0]},
            "saving_percent": {key: mean(run[key] for run in saved) for key in saved[0]},
            "worst": {
                "untold_minus_best_single": min(r["untold"] - r["best_single"] for r in hits),
                "untold_minus_lru": min(r["untold"] - r["lru"] for r in hits),
                "lies_minus_lru": min(r["lies"] - r["lru"] for r in hits),
                "told_saving": min(r["told"] for r in saved),
            },
        }
        for setting, values in rows[name].items():
            cells = "  ".join(f"{key} {value:.1f}" for key, value in values.items())
            print(f"{name:12} {setting:15} {cells}", flush=True)
    write("classes", rows, seeds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
