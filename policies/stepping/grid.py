"""Agents by the cells of a grid, which is kept as they move."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.policies.replay.compiled import compiled
from scalesim.policies.stepping.conductor import Positions, Steps

NOBODY = -1


class Grid(NamedTuple):
    """Agents by cell.

    Cells share `2**k` buckets by a hash, so that no border need be known; who is of another cell is
    known by its distance.

    Attributes:
        where: float64[n, 2]; nan for agents that are nowhere.
        step: int64[n], next turn of each agent.
        bucket: int64[n], of each agent, or `NOBODY` where it is in none.
        after: int64[n], the agent behind it in its bucket, which has moved later.
        before: int64[n].
        first: int64[buckets].
        last: int64[buckets].
        least: int64[buckets], the earliest next turn in it.
        at_least: int64[buckets], how many have that.
        width: float64[1], of a cell.
    """

    where: Positions
    step: Steps
    bucket: Rows
    after: Rows
    before: Rows
    first: Rows
    last: Rows
    least: Steps
    at_least: Rows
    width: NDArray[np.float64]


@compiled
def bucket_of(grid: Grid, column: int, line: int) -> int:
    """Return the bucket of a cell."""
    mixed = (column * 73856093) ^ (line * 19349663)
    return (mixed ^ (mixed >> 15)) & (len(grid.first) - 1)


@compiled
def move(grid: Grid, rows: Rows, position: Positions, step: Steps) -> None:
    """Set agents' places and next turns; each becomes the last of its bucket."""
    for i in range(len(rows)):
        a = rows[i]
        bucket = grid.bucket[a]
        if bucket != NOBODY:
            _take_out(grid, a, bucket)
        grid.where[a] = position[i]
        grid.step[a] = step[i]
        if math.isnan(position[i, 0]) or math.isnan(position[i, 1]):
            grid.bucket[a] = NOBODY
            continue
        column = math.floor(position[i, 0] / grid.width[0])
        line = math.floor(position[i, 1] / grid.width[0])
        _put_in(grid, a, bucket_of(grid, column, line))


@compiled
def _put_in(grid: Grid, a: int, bucket: int) -> None:
    last = grid.last[bucket]
    grid.bucket[a] = bucket
    grid.before[a], grid.after[a] = last, NOBODY
    grid.last[bucket] = a
    if last == NOBODY:
        grid.first[bucket] = a
    else:
        grid.after[last] = a
    if grid.step[a] < grid.least[bucket]:
        grid.least[bucket] = grid.step[a]
        grid.at_least[bucket] = 1
    elif grid.step[a] == grid.least[bucket]:
        grid.at_least[bucket] += 1


@compiled
def _take_out(grid: Grid, a: int, bucket: int) -> None:
    before, after = grid.before[a], grid.after[a]
    if before == NOBODY:
        grid.first[bucket] = after
    else:
        grid.after[before] = after
    if after == NOBODY:
        grid.last[bucket] = before
    else:
        grid.before[after] = before
    if grid.step[a] != grid.least[bucket]:
        return
    grid.at_least[bucket] -= 1
    if grid.at_least[bucket] > 0:
        return
    least, count = np.iinfo(np.int64).max, 0
    b = grid.first[bucket]
    while b != NOBODY:
        if grid.step[b] < least:
            least, count = grid.step[b], 1
        elif grid.step[b] == least:
            count += 1
        b = grid.after[b]
    grid.least[bucket] = least
    grid.at_least[bucket] = count


@compiled
def gap(grid: Grid, a: int, b: int) -> float:
    """Return the distance of two agents."""
    return math.hypot(grid.where[a, 0] - grid.where[b, 0], grid.where[a, 1] - grid.where[b, 1])


@compiled
def rings_of(radius: float, width: float, agents: int) -> int:
    """Return how many cells `radius` reaches in each direction, `agents` at most."""
    return math.ceil(radius / width) if radius < agents * width else agents
