"""The control plane at a million agents: `scalesim bench control-plane`, over several seeds.

python -m benchmarks.policies.control_plane [SEEDS]
"""

import sys

from benchmarks.results import write
from scalesim.cli.controller_load import measure

AGENTS, REPLICAS, ROUNDS = 1_000_000, 64, 10


def main(seeds: int) -> None:
    """Print one line a seed."""
    rows = []
    for seed in range(seeds):
        rows.append(measure(AGENTS, REPLICAS, ROUNDS, seed))
        row = rows[-1]
        print(
            f"seed {seed}: {row['updates_per_s'] / 1e6:.1f} M updates/s, "
            f"plan {row['plan_s']['p50'] * 1e3:.0f} ms, "
            f"{row['plan_over_argpartition']:.1f} x argpartition, "
            f"{row['bytes_per_agent']:.0f} bytes an agent",
            flush=True,
        )
    write("policies/control_plane", rows, seeds=seeds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
