"""Makespan of each step on eight replicas: who waits for the slowest?

Four ways to place agents: `random` (a draw a request), `least-loaded` (each request to the replica
with the least work), `hashed` (rendezvous, sticky) and `balanced` (hashed, then `rebalanced` by the
next step's told distances). A request costs its own time, and rebuilding the agent's state where
the replica does not have it; the floor is perfect balance without any rebuilding.

    python -m benchmarks.policies.placement [SEEDS]
"""

import sys
from collections.abc import Callable
from statistics import mean

import numpy as np

from benchmarks.results import write
from policies.balance import Population, rebalanced
from policies.placement import rendezvous
from policies.workloads import generate

AGENTS, STEPS, REPLICAS = 400, 120, 8
REQUEST_S, REBUILD_S = 0.1, 0.15
NAMES = [f"replica-{number}" for number in range(REPLICAS)]

Placer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Places the active agents of a step, given where everyone's state is."""


def placers(rng: np.random.Generator, home: np.ndarray) -> dict[str, Placer]:
    """Return the four ways."""

    def least_loaded(active: np.ndarray, state_at: np.ndarray) -> np.ndarray:
        loads, places = np.zeros(REPLICAS), []
        for agent in active:
            place = int(loads.argmin())
            loads[place] += REQUEST_S + REBUILD_S * (state_at[agent] != place)
            places.append(place)
        return np.array(places, np.int64)

    def balanced(active: np.ndarray, state_at: np.ndarray) -> np.ndarray:
        distance = np.full(AGENTS, np.inf, np.float32)
        distance[active] = 0
        agents = Population(
            place=np.where(state_at >= 0, state_at, home).astype(np.int32),
            distance=distance,
            state_bytes=np.ones(AGENTS, np.int64),
            request_s=np.full(AGENTS, REQUEST_S),
            move_s=np.where(state_at >= 0, REBUILD_S, 0.0),
            movable=np.ones(AGENTS, np.bool_),
        )
        return rebalanced(agents, REPLICAS, horizon_steps=1)[active]

    return {
        "random": lambda active, _: rng.integers(0, REPLICAS, len(active)),
        "least-loaded": least_loaded,
        "hashed": lambda active, _: home[active],
        "balanced": balanced,
    }


def makespans(seed: int) -> dict[str, dict[str, float]]:
    """Return mean makespan over the floor, and the share of requests that moved, by placer."""
    rng = np.random.default_rng(seed)
    trace = generate("event-queue", AGENTS, STEPS, seed).trace
    home = rendezvous(rng.integers(0, 2**62, AGENTS), NAMES).astype(np.int64)
    results = {}
    for name, place in placers(rng, home).items():
        state_at = np.full(AGENTS, -1)
        over_floor, moved, count = [], 0, 0
        for step in range(STEPS):
            active = trace.agent[trace.step == step]
            places = place(active, state_at)
            elsewhere = (state_at[active] != places) & (state_at[active] >= 0)
            cost = REQUEST_S + REBUILD_S * (state_at[active] != places)
            work = np.bincount(places, cost, REPLICAS)
            floor = max(len(active) * REQUEST_S / REPLICAS, REQUEST_S)
            over_floor.append(work.max() / floor)
            moved, count = moved + int(elsewhere.sum()), count + len(active)
            state_at[active] = places
        results[name] = {"over_floor": mean(over_floor[20:]), "moved": moved / count}
    return results


def main(seeds: int) -> None:
    """Print one line a placer."""
    runs = [makespans(seed) for seed in range(seeds)]
    rows = {
        name: {key: mean(run[name][key] for run in runs) for key in ("over_floor", "moved")}
        for name in runs[0]
    }
    for name, row in rows.items():
        print(f"{name:13} makespan {row['over_floor']:.2f} x the floor, {row['moved']:.1%} moved")
    write("policies/placement", rows, seeds=seeds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
