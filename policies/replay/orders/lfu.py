"""Least frequently used, and Greedy-Dual-Size-Frequency: one heap, two priorities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled
from scalesim.policies.replay.heap import empty_heap, put, take


def lfu(requests: NDArray[np.int32], sizes: NDArray[np.int64], capacity: int) -> NDArray[np.bool_]:
    """Return which requests hit when the least often used agent leaves first.

    Counts are kept while an agent is away (perfect LFU); ties leave oldest first.
    """
    return _evict_by_count(requests, sizes, np.ones(len(sizes)), capacity, False)


def gdsf(
    requests: NDArray[np.int32],
    sizes: NDArray[np.int64],
    costs: NDArray[np.float64],
    capacity: int,
) -> NDArray[np.bool_]:
    """Return which requests hit under Greedy-Dual-Size-Frequency.

    Priority = age + count * cost / size, where the age is the priority of the last victim.
    Source: Cherkasova, Improving WWW proxies performance with Greedy-Dual-Size-Frequency, 1998.
    """
    return _evict_by_count(requests, sizes, costs / sizes, capacity, True)


@compiled
def _evict_by_count(
    requests: NDArray[np.int32],
    sizes: NDArray[np.int64],
    value: NDArray[np.float64],
    capacity: int,
    ages: bool,
) -> NDArray[np.bool_]:
    heap = empty_heap(len(sizes))
    count = np.zeros(len(sizes), np.int64)
    priority = np.zeros(len(sizes))  # only grows while resident: the heap may lag behind it
    used = np.zeros(len(sizes), np.int64)
    hits = np.zeros(len(requests), np.bool_)
    resident = 0
    free = capacity
    age = 0.0
    for i in range(len(requests)):
        agent = requests[i]
        hits[i] = heap.where[agent] >= 0
        if sizes[agent] > capacity:
            continue
        if not hits[i]:
            free -= sizes[agent]
            while free < 0:
                victim = heap.items[0]
                if heap.tie[victim] != used[victim]:
                    put(heap, resident, victim, priority[victim], used[victim])
                    continue
                resident = take(heap, resident, victim)
                free += sizes[victim]
                if ages:
                    age = priority[victim]
                    count[victim] = 0
        count[agent] += 1
        priority[agent] = age + count[agent] * value[agent]
        used[agent] = i
        if not hits[i]:
            resident = put(heap, resident, agent, priority[agent], i)
    return hits
