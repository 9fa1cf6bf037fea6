"""Where agents are, and who is near whom."""

from __future__ import annotations

import math

import numpy as np

from scalesim.policies.planning import Rows
from scalesim.policies.replay.compiled import compiled
from scalesim.policies.stepping.conductor import Positions, Steps
from scalesim.policies.stepping.grid import NOBODY, Grid, bucket_of, gap, move, rings_of


class Space:
    """Where everyone is. Sparse: costs grow with the agents near by, not with all of them.

    Args:
        position: float64[n, 2]; nan for agents that are nowhere, who are near to nobody.
        step: int64[n], next turn of each agent.
        width: Width of a cell, in the unit of positions: about the distance asked for.
    """

    def __init__(self, position: Positions, step: Steps, width: float) -> None:
        agents = len(position)
        buckets = 1 << max(4, (2 * agents).bit_length())
        self.grid = Grid(
            position.astype(np.float64),
            step.copy(),
            np.full(agents, NOBODY),
            np.full(agents, NOBODY),
            np.full(agents, NOBODY),
            np.full(buckets, NOBODY),
            np.full(buckets, NOBODY),
            np.full(buckets, np.iinfo(np.int64).max),
            np.zeros(buckets, np.int64),
            np.array([max(width, 1e-12)]),
        )
        self.move(np.arange(agents), self.grid.where.copy(), step)

    def move(self, rows: Rows, position: Positions, step: Steps) -> None:
        """Set where agents are, and when each acts next."""
        move(self.grid, rows, position, step)

    def within(self, rows: Rows, radius: float) -> tuple[Rows, Rows]:
        """Return who is at most `radius` from each of `rows`, themselves left out.

        Returns:
            (int64[k], int64[k]): who asks, as places in `rows`, and who is there.
        """
        found = _within(self.grid, rows, radius)
        return found[:, 0], found[:, 1]


@compiled
def _within(grid: Grid, rows: Rows, radius: float) -> Rows:
    """Return int64[k, 2]: places in `rows`, and agents at most `radius` from them."""
    found = np.empty((16, 2), np.int64)
    count = 0
    agents, width = len(grid.step), grid.width[0]
    rings = rings_of(radius, width, agents)
    few = (2 * rings + 1) ** 2 > agents  # fewer agents than cells: look at them
    for i in range(len(rows)):
        a = rows[i]
        if grid.bucket[a] == NOBODY:
            continue
        if few:
            for b in range(agents):
                if b != a and grid.bucket[b] != NOBODY and gap(grid, a, b) <= radius:
                    if count == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[count, 0], found[count, 1] = i, b
                    count += 1
            continue
        column = math.floor(grid.where[a, 0] / width)
        line = math.floor(grid.where[a, 1] / width)
        begin = count
        for x in range(column - rings, column + rings + 1):
            for y in range(line - rings, line + rings + 1):
                b = grid.first[bucket_of(grid, x, y)]
                while b != NOBODY:
                    here = (
                        b != a
                        and math.floor(grid.where[b, 0] / width) == x
                        and math.floor(grid.where[b, 1] / width) == y
                        and gap(grid, a, b) <= radius
                    )
                    if here:
                        if count == len(found):
                            found = np.concatenate((found, np.empty_like(found)))
                        found[count, 0], found[count, 1] = i, b
                        count += 1
                    b = grid.after[b]
        found[begin:count, 1] = np.sort(found[begin:count, 1])
    return found[:count]
