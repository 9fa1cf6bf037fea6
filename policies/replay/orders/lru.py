"""Least recently used: a doubly linked list over dense agent numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled


@compiled
def lru(requests: NDArray[np.int32], sizes: NDArray[np.int64], capacity: int) -> NDArray[np.bool_]:
    """Return which requests hit, bool[n]; an agent larger than the cache is never kept."""
    agents = len(sizes)
    end = agents  # sentinel: newer[end] is the oldest, older[end] the newest
    newer = np.full(agents + 1, -1, np.int32)
    older = np.full(agents + 1, -1, np.int32)
    newer[end] = older[end] = end
    hits = np.zeros(len(requests), np.bool_)
    free = capacity
    for i in range(len(requests)):
        agent = requests[i]
        if newer[agent] >= 0:
            hits[i] = True
            newer[older[agent]] = newer[agent]
            older[newer[agent]] = older[agent]
        elif sizes[agent] > capacity:
            continue
        else:
            free -= sizes[agent]
            while free < 0:
                victim = newer[end]
                newer[end] = newer[victim]
                older[newer[victim]] = end
                newer[victim] = -1
                free += sizes[victim]
        newest = older[end]
        newer[newest] = agent
        older[agent] = newest
        newer[agent] = end
        older[end] = agent
    return hits
