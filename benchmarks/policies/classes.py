"""Every class of simulation: what reported distances are worth, and what learned ones.

Three settings: plain demand caching (hit ratios), the timeline with one link (share of the oracle's
saving of stall time over LRU), and the same with requests so short that the link is the bottleneck:
there the oracle's sight of the whole future counts, and one step reported is worth less.
`reported_far` is the same policy with ten steps reported: what is missing is knowledge, not plans.

    python -m benchmarks.policies.classes [SEEDS]
"""

import sys
from statistics import mean

import numpy as np

from benchmarks.results import write
from scalesim.policies.distance.learned import LEARNERS
from scalesim.policies.replay.activation_trace import Trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.costs import Costs
from scalesim.policies.replay.guard import guarded
from scalesim.policies.replay.hints import Hints, expiring, foreseen_hints, no_hints, reported_hints
from scalesim.policies.replay.learned_hints import learned_hints
from scalesim.policies.workloads import WORKLOADS, GeneratedWorkload, generate

AGENTS, CAPACITY = 100, 0.2
FAR_STEPS = 10
LINK_BOUND_S = 0.002  # of engine time a request, against 5.4 ms on the link to load a state
EVERYONE_ACTS = ("round-robin", "shuffled")


def lies(trace: Trace) -> Hints:
    """Turn the reported order around: the next is said to be last, the absent to be next."""
    reported = reported_hints(trace)
    distance = reported.due - reported.at
    wrong = np.where(np.isfinite(distance), reported.at + 1e6 / (1 + distance), reported.at + 1.0)
    return expiring(reported._replace(due=wrong), 2 * len(trace.agent) / (trace.step[-1] + 1))


def hit_ratios(case: Case, workload: GeneratedWorkload) -> dict[str, float]:
    """Return hit ratios without prefetch, in percent."""
    trace = case.trace
    streams = {
        "lru": no_hints(),
        "reported": case.hints,
        "estimator": guarded(trace, [foreseen_hints(*workload)], case.quality),
        "learned": case.learned,
        "lies": guarded(trace, [lies(trace)], case.quality),
        "oracle": case.following,
    }
    streams |= {
        f"learner {name}": learned_hints(trace, make(AGENTS)) for name, make in LEARNERS.items()
    }
    hits = {name: 100 * float(case.follow(hints).hits.mean()) for name, hints in streams.items()}
    singles = [hits.pop(f"learner {name}") for name in LEARNERS]
    return hits | {"best_single": max(singles)}


def savings(case: Case, workload: GeneratedWorkload) -> dict[str, float]:
    """Return the share of the oracle's saving of stall time over LRU, in percent."""
    trace = case.trace
    lru_s = case.follow(no_hints()).stall_s.sum()
    best_s = lru_s - case.follow(case.following).stall_s.sum()
    streams = {
        "reported": case.hints,
        "reported_far": reported_hints(trace, FAR_STEPS),
        "estimator": guarded(trace, [foreseen_hints(*workload)], case.quality),
        "learned": guarded(trace, [case.learned], case.quality),
        "lies": guarded(trace, [lies(trace)], case.quality),
    }
    return {
        name: 100 * float((lru_s - case.follow(hints).stall_s.sum()) / best_s)
        for name, hints in streams.items()
    }


def measure(workload: GeneratedWorkload) -> dict[str, dict[str, float]]:
    """Return all figures of one run."""
    caching = Case(workload.trace, CAPACITY, prefetch=False)
    timeline = Case(workload.trace, CAPACITY)
    narrow = Case(workload.trace, CAPACITY, costs=Costs(request_s=LINK_BOUND_S))
    timeline.learned = narrow.learned = caching.learned
    return {
        "hit_percent": hit_ratios(caching, workload),
        "saving_percent": savings(timeline, workload),
        "link_bound_saving_percent": savings(narrow, workload),
    }


def main(seeds: int) -> None:
    """Run all classes and print one line a setting."""
    rows = {}
    for name in WORKLOADS:
        steps = 60 if name in EVERYONE_ACTS else 250
        runs = [measure(generate(name, AGENTS, steps, seed)) for seed in range(seeds)]
        rows[name] = {
            setting: {key: mean(run[setting][key] for run in runs) for key in runs[0][setting]}
            for setting in runs[0]
        }
        hits = [run["hit_percent"] for run in runs]
        rows[name]["worst_seed"] = {
            "learned_minus_best_single": min(r["learned"] - r["best_single"] for r in hits),
            "learned_minus_lru": min(r["learned"] - r["lru"] for r in hits),
            "lies_minus_lru": min(r["lies"] - r["lru"] for r in hits),
            "reported_saving": min(run["saving_percent"]["reported"] for run in runs),
        }
        for setting, values in rows[name].items():
            cells = "  ".join(f"{key} {value:.1f}" for key, value in values.items())
            print(f"{name:12} {setting:26} {cells}", flush=True)
    write("policies/classes", rows, seeds=seeds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
