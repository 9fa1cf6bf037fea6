"""Many replicas of busy engines tell one controller what changed: see `scalesim.cli.replica_load`.

Run: python -m benchmarks.controller.replica_updates [REPLICAS ...]
"""

from __future__ import annotations

import sys

import ray

from benchmarks.results import write
from scalesim.cli.busy_engines import AGENTS, PASS_S
from scalesim.cli.replica_load import measure_updates

REPLICAS = (8, 64, 256)


def main(counts: list[int]) -> None:
    """Measure the controller and its peer in turn, print both, write JSON."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    rows = []
    for row in measure_updates(counts):
        print(row.pop("line"), flush=True)
        rows.append(row)
    ray.shutdown()
    write("controller/replica_updates", rows, agents=AGENTS, pass_s=PASS_S)


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or list(REPLICAS))
