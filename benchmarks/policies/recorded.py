"""Recorded activity: the Smallville run, and OASIS's users drawn by their real hourly profiles.

No prefetch, hit ratios in percent. The files are read from a folder beside the checkout; figures
that others measured on them (`reference`) are LRU, best cheap hint, reported, and oracle.

    python -m benchmarks.policies.recorded [FOLDER] [SEEDS]
"""

import json
import sys
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.results import write
from scalesim.policies.replay.activation_trace import Trace, parse_trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.replay_policies import replay
from scalesim.policies.workloads.scheduled_workload import hourly

FOLDER = Path(__file__).parents[3] / "shared" / "traces"
POLICIES = ["lru", "lfu", "s3fifo", "gdsf", "kvflow", "distance", "belady"]
ACTIVE_AN_HOUR = 0.1  # of all users, on average; the profiles say only who is more active when


def hit_percent(trace: Trace, capacity: float) -> dict[str, float]:
    """Return hit ratios by reported distances, and by those learned from requests alone."""
    reported = replay(Case(trace, capacity, prefetch=False), POLICIES)["policies"]
    learned = replay(Case(trace, capacity, "learned", prefetch=False), ["distance"])["policies"]
    rows = {name: 100 * row["hit_ratio"] for name, row in reported.items()}
    return rows | {"distance, learned": 100 * learned["distance"]["hit_ratio"]}


def oasis(folder: Path, seed: int) -> Trace:
    """Return ten days of OASIS's users."""
    users = json.loads((folder / "oasis_activity_users.json").read_text(encoding="utf-8"))
    activity = np.array([user["freq24"] for user in users], np.float64)
    activity *= ACTIVE_AN_HOUR * len(users) * 24 / activity.sum()
    return hourly(np.random.default_rng(seed), activity, 240).trace


def main(folder: Path, seeds: int) -> None:
    """Print one line a workload."""
    with (folder / "smallville25.jsonl").open(encoding="utf-8") as lines:
        smallville = parse_trace(lines)
    drawn = [hit_percent(oasis(folder, seed), 0.2) for seed in range(seeds)]
    rows = {
        "smallville 25/10": hit_percent(smallville, 0.4),
        "smallville 25/5": hit_percent(smallville, 0.2),
        "oasis 111/22": {name: mean(run[name] for run in drawn) for name in drawn[0]},
    }
    reference = {
        "smallville 25/10": [28.0, 50.4, 56.1, 62.0],
        "smallville 25/5": [24.8, 33.2, 28.1, 41.9],
    }
    for name, row in rows.items():
        cells = "  ".join(f"{policy} {value:.1f}" for policy, value in row.items())
        print(f"{name:17} {cells}  reference {reference.get(name, '-')}")
    write("policies/recorded", {"hit_percent": rows, "reference": reference}, seeds=seeds)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]) if arguments else FOLDER, int(arguments[1]) if arguments[1:] else 5)
