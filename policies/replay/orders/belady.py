"""Belady's order: the agent used again last leaves first. The optimum for equal sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled

NEVER = np.iinfo(np.int64).max


@compiled
def next_uses(requests: NDArray[np.int32], agents: int) -> NDArray[np.int64]:
    """Return, for each request, the position of the same agent's next one, or `NEVER`."""
    upcoming = np.full(agents, NEVER, np.int64)
    result = np.empty(len(requests), np.int64)
    for i in range(len(requests) - 1, -1, -1):
        result[i] = upcoming[requests[i]]
        upcoming[requests[i]] = i
    return result


@compiled
def belady(
    requests: NDArray[np.int32], following: NDArray[np.int64], agents: int, capacity: int
) -> NDArray[np.bool_]:
    """Return which requests hit with unit sizes, given `next_uses`.

    Next uses are distinct positions, so the farthest one is the highest bit of a set: a tree of
    64-way words, four levels for eight million requests. Source: Belady, A study of replacement
    algorithms for a virtual-storage computer, 1966.
    """
    n = len(requests)
    universe = 2 * n  # a last use at i is kept as the distinct position n + i
    first = np.zeros((universe >> 6) + 1, np.uint64)
    second = np.zeros((universe >> 12) + 1, np.uint64)
    third = np.zeros((universe >> 18) + 1, np.uint64)
    owner = np.zeros(universe, np.int32)
    cached = np.zeros(agents, np.bool_)
    hits = np.zeros(n, np.bool_)
    if capacity < 1:
        return hits
    one = np.uint64(1)
    free = capacity
    for i in range(n):
        agent = requests[i]
        if cached[agent]:
            hits[i] = True  # its bit lies in the past now, below every other: no need to clear it
        elif free > 0:
            free -= 1
            cached[agent] = True
        else:
            top = len(third) - 1
            while third[top] == 0:
                top -= 1
            top = (top << 6) + _highest_bit(third[top])
            top = (top << 6) + _highest_bit(second[top])
            top = (top << 6) + _highest_bit(first[top])
            cached[owner[top]] = False
            cached[agent] = True
            word = top >> 6
            first[word] &= ~(one << np.uint64(top & 63))
            if first[word] == 0:
                second[word >> 6] &= ~(one << np.uint64(word & 63))
                if second[word >> 6] == 0:
                    third[word >> 12] &= ~(one << np.uint64((word >> 6) & 63))
        position = following[i] if following[i] < n else n + i
        owner[position] = agent
        word = position >> 6
        first[word] |= one << np.uint64(position & 63)
        second[word >> 6] |= one << np.uint64(word & 63)
        third[word >> 12] |= one << np.uint64((word >> 6) & 63)
    return hits


@compiled
def _highest_bit(word: int) -> int:
    bits = np.uint64(word)
    place = 0
    for shift in (32, 16, 8, 4, 2, 1):
        if bits >> np.uint64(shift):
            bits >>= np.uint64(shift)
            place += shift
    return place
