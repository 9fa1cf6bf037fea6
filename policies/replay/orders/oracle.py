"""The cost-aware oracle: Belady's foresight weighed by what a byte saves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled


@compiled
def cost_aware(
    requests: NDArray[np.int32],
    following: NDArray[np.int64],
    sizes: NDArray[np.int64],
    costs: NDArray[np.float64],
    capacity: int,
) -> NDArray[np.bool_]:
    """Return which requests hit when distance x bytes / cost decides, largest leaves first.

    The true optimum for unequal sizes and costs is NP-hard (Chrobak et al., Caching is hard even in
    the fault model, 2012); this greedy order weighs a miss by what it costs for each byte and
    request it would have been kept. For equal sizes and costs it is Belady's order, exactly.

    Args:
        requests: int32[n].
        following: int64[n], from `next_uses`.
        sizes: int64[agents].
        costs: float64[agents], of a miss.
        capacity: In the unit of sizes.
    """
    agents = len(sizes)
    residents = np.empty(agents, np.int32)
    where = np.full(agents, -1, np.int32)
    next_use = np.zeros(agents, np.float64)
    hits = np.zeros(len(requests), np.bool_)
    count = 0
    free = capacity
    for i in range(len(requests)):
        agent = requests[i]
        if where[agent] >= 0:
            hits[i] = True
        elif sizes[agent] > capacity:
            continue
        else:
            free -= sizes[agent]
            while free < 0:
                farthest = -1.0
                victim = residents[0]
                for place in range(count):
                    candidate = residents[place]
                    weight = (next_use[candidate] - i) * sizes[candidate] / costs[candidate]
                    if weight > farthest:
                        farthest = weight
                        victim = candidate
                count -= 1
                residents[where[victim]] = residents[count]
                where[residents[count]] = where[victim]
                where[victim] = -1
                free += sizes[victim]
            residents[count] = agent
            where[agent] = count
            count += 1
        next_use[agent] = following[i]
    return hits
