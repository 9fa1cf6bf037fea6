"""Farthest first, by whatever was known at the time; least recently used among the unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled
from scalesim.policies.replay.heap import empty_heap, put, take
from scalesim.policies.replay.hints import Hints


@compiled
def farthest_first(
    requests: NDArray[np.int32], sizes: NDArray[np.int64], capacity: int, hints: Hints
) -> NDArray[np.bool_]:
    """Return which requests hit when the agent with the latest due position leaves first."""
    heap = empty_heap(len(sizes))
    due = np.full(len(sizes), np.inf)
    hits = np.zeros(len(requests), np.bool_)
    resident = hint = 0
    free = capacity
    for i in range(len(requests)):
        while hint < len(hints.at) and hints.at[hint] <= i:
            hinted = hints.agent[hint]
            due[hinted] = hints.due[hint]
            if heap.where[hinted] >= 0:
                put(heap, resident, hinted, -due[hinted], heap.tie[hinted])
            hint += 1
        agent = requests[i]
        if heap.where[agent] >= 0:
            hits[i] = True
        elif sizes[agent] > capacity:
            continue
        else:
            free -= sizes[agent]
            while free < 0:
                victim = heap.items[0]
                resident = take(heap, resident, victim)
                free += sizes[victim]
        resident = put(heap, resident, agent, -due[agent], i)
    return hits
