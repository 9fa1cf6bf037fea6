"""What the conductor costs a turn: agents walk, and their turns take times that are drawn.

Run: python -m benchmarks.simulations.conductor_cost [AGENTS [TURNS]]
"""

from __future__ import annotations

import heapq
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results import write
from scalesim.policies.stepping import Causal, Space

REACH, SPEED, STEPS = 3.0, 1.0, 40
ROOMS = {"sparse": 12.0, "busy": 6.0, "crowded": 3.0}
"""Side of the square that an agent has, on average."""


def walk(agents: int, turns: int, room: float, together: int, seed: int) -> dict[str, float]:
    """Return microseconds a turn, and how far agents got ahead, over `turns` turns."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, room * np.sqrt(agents), (agents, 2))
    step = np.zeros(agents, np.int64)
    space = Space(place, step, REACH + SPEED)
    causal = Causal(step, STEPS, space=space, reach=REACH, speed=SPEED)
    times = rng.lognormal(0.0, 1.0, agents).tolist()
    ends = list(zip(times, causal.begin().tolist(), strict=True))
    heapq.heapify(ends)
    spent, taken, ahead = 0.0, 0, 0
    while ends and taken < turns:
        now = ends[0][0]
        rows = np.array([heapq.heappop(ends)[1] for _ in range(min(together, len(ends)))])
        angle = rng.uniform(0, 2 * np.pi, len(rows))
        moved = space.grid.where[rows] + SPEED * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        begun = time.thread_time()
        ready = causal.done(rows, causal.step[rows] + 1, moved)
        spent += time.thread_time() - begun
        taken += len(rows)
        for row, lasts in zip(ready.tolist(), rng.lognormal(0.0, 1.0, len(ready)), strict=True):
            heapq.heappush(ends, (now + lasts, row))
        ahead = max(ahead, int(causal.step[rows].max()) - causal.floor())
    return {"us_per_turn": 1e6 * spent / taken, "most_steps_ahead": float(ahead)}


def main(agents: int, turns: int) -> None:
    """Print a row for each density and batch, and write JSON."""
    walk(1000, 1000, 12.0, 1, 0)  # compiles
    table = Table("agents", "room", "turns at once", "µs a turn", "most steps ahead")
    rows: list[dict[str, Any]] = []
    for name, room in ROOMS.items():
        for together in (1, 64):
            measured = walk(agents, turns, room, together, seed=1)
            rows.append({"agents": agents, "room": name, "together": together, **measured})
            print(rows[-1], flush=True)
            cells = (f"{measured['us_per_turn']:.1f}", f"{measured['most_steps_ahead']:.0f}")
            table.add_row(f"{agents:,}", name, str(together), *cells)
    Console().print(table)
    write("simulations/conductor_cost", rows, turns=turns)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [100_000, 200_000][len(given) :]))
