"""Who waits for whom, in loops over arrays: one blocker each, looked for again when it goes on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.planning import Rows
from scalesim.policies.replay.compiled import compiled
from scalesim.policies.stepping.conductor import Dependencies, Positions, Steps
from scalesim.policies.stepping.grid import NOBODY, Grid, bucket_of, gap, move, rings_of

_SLACK = 1e-9
"""Share of a distance that rounding may take from it."""

_SPREAD = 32
"""How many of those who block an agent its choice of one is spread over: were it always the first,
everyone in a crowd would wait for the same one, and look again each time that one went on."""


class State(NamedTuple):
    """What `Causal` knows of all agents, as arrays that the loops here change in place.

    An agent that may not act yet waits for one of those who block it, and is looked at again when
    that one goes on: a turn costs what it changes.

    Attributes:
        blocker: int64[n], whom each agent waits for; n for the last of all, `NOBODY` for those
            that may act.
        waiting: int64[n + 1], the first of those who wait for each agent.
        then: int64[n], the next of those who wait for the same one.
        at: int64[end + 1], how many agents have their next turn at each step; the last counts all
            that have none.
        floor: int64[1], the earliest next turn.
        look: int64[n], room for those who are looked at.
        depends: Who waits for whom, whatever happens.
    """

    blocker: Rows
    waiting: Rows
    then: Rows
    at: Rows
    floor: NDArray[np.int64]
    look: Rows
    depends: Dependencies


@compiled
def take_in(
    grid: Grid,
    state: State,
    reach: float,
    speed: float,
    lead: int,
    rows: Rows,
    next_step: Steps,
    position: Positions,
) -> Rows:
    """Take in turns that are done, and return who may go on; see `Causal.done`."""
    end = len(state.at) - 1
    for i in range(len(rows)):
        state.at[grid.step[rows[i]]] -= 1
        state.at[min(next_step[i], end)] += 1
    move(grid, rows, position, next_step)
    floor = state.floor[0]
    while floor < end and state.at[floor] == 0:
        floor += 1
    look, count = state.look, 0
    for i in range(len(rows)):
        a = rows[i]
        if grid.step[a] < end:
            look[count] = a
            count += 1
        count = _released(state, a, look, count)
    if floor != state.floor[0]:
        state.floor[0] = floor
        count = _released(state, len(grid.step), look, count)
    return checked(grid, state, reach, speed, lead, look[:count])


@compiled
def _released(state: State, a: int, look: Rows, count: int) -> int:
    """Write those who waited for an agent behind the first `count` of `look`; return how many."""
    b = state.waiting[a]
    state.waiting[a] = NOBODY
    while b != NOBODY:
        look[count] = b
        count += 1
        b = state.then[b]
    return count


@compiled
def checked(grid: Grid, state: State, reach: float, speed: float, lead: int, rows: Rows) -> Rows:
    """Return those of `rows` that may act; each of the others has to wait for another agent."""
    ready = np.empty(len(rows), np.int64)
    count = 0
    for a in rows:
        blocker = _blocker(grid, state, reach, speed, lead, a)
        state.blocker[a] = blocker
        if blocker == NOBODY:
            ready[count] = a
            count += 1
        else:
            state.then[a] = state.waiting[blocker]
            state.waiting[blocker] = a
    return ready[:count]


@compiled
def _blocker(grid: Grid, state: State, reach: float, speed: float, lead: int, a: int) -> int:
    t = grid.step[a]
    floor = state.floor[0]
    if t > floor + lead:
        return len(grid.step)
    depends = state.depends
    for i in range(depends.starts[a], depends.starts[a + 1]):
        if grid.step[depends.others[i]] < t + depends.lag[i]:
            return int(depends.others[i])
    return _who_blocks(grid, a, reach, speed, floor)


@compiled
def _who_blocks(grid: Grid, a: int, reach: float, speed: float, floor: int) -> int:
    """Return an agent that is behind `a` and could still reach it, or `NOBODY`.

    `b` could where distance(a, b) <= reach + speed * (step[a] - step[b]): between its next turn and
    the one before `a`'s it moves at most so far.

    Args:
        grid: Where everyone is, and when they act next.
        a: The agent.
        reach: How far agents see and speak.
        speed: How far they move in a step, at most.
        floor: The earliest next turn of all.
    """
    t = grid.step[a]
    farthest = reach + speed * (t - floor)
    if t <= floor or grid.bucket[a] == NOBODY:
        return NOBODY
    agents, width = len(grid.step), grid.width[0]
    skip = (a * 2654435761) % _SPREAD
    rings = rings_of(farthest, width, agents)
    found = NOBODY
    if (2 * rings + 1) ** 2 > agents:  # fewer agents than cells: look at them
        for i in range(agents):
            b = (a + i) % agents
            if grid.bucket[b] != NOBODY and _blocks(grid, a, b, reach, speed):
                return int(b)
        return NOBODY
    column = math.floor(grid.where[a, 0] / width)
    line = math.floor(grid.where[a, 1] / width)
    for ring in range(rings + 1):
        for x in range(column - ring, column + ring + 1):
            inner = abs(x - column) < ring
            for y in range(line - ring, line + ring + 1, 2 * ring if inner else 1):
                bucket = bucket_of(grid, x, y)
                least = grid.least[bucket]
                if least >= t or (ring - 1) * width > reach + speed * (t - least) + width * _SLACK:
                    continue
                b = grid.first[bucket]
                while b != NOBODY:
                    if _blocks(grid, a, b, reach, speed):
                        if skip == 0:
                            return int(b)
                        found = b
                        skip -= 1
                    b = grid.after[b]
                if found != NOBODY:
                    return int(found)
    return NOBODY


@compiled
def _blocks(grid: Grid, a: int, b: int, reach: float, speed: float) -> bool:
    behind = grid.step[a] - grid.step[b]
    if behind <= 0:
        return False
    allowed = reach + speed * behind
    return bool(gap(grid, a, b) <= allowed + _SLACK * (1.0 + allowed))
