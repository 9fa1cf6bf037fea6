"""S3-FIFO: a small queue for new agents, a main queue for proven ones, a ghost queue of names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled

OUTSIDE, SMALL, MAIN = 0, 1, 2


@compiled
def s3fifo(
    requests: NDArray[np.int32], sizes: NDArray[np.int64], capacity: int
) -> NDArray[np.bool_]:
    """Return which requests hit; the small queue gets a tenth of the bytes.

    Source: Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023.
    """
    agents = len(sizes)
    small_share = max(capacity // 10, 1)
    small = np.zeros(agents + 1, np.int32)  # rings: an agent is in one of them at most once
    main = np.zeros(agents + 1, np.int32)
    small_head = small_count = main_head = main_count = 0
    small_bytes = main_bytes = ghost_clock = 0
    place = np.zeros(agents, np.uint8)
    uses = np.zeros(agents, np.uint8)
    ghosted = np.full(agents, -1, np.int64)  # bytes that had left the small queue by then
    hits = np.zeros(len(requests), np.bool_)
    for i in range(len(requests)):
        agent = requests[i]
        if place[agent] != OUTSIDE:
            hits[i] = True
            uses[agent] = min(uses[agent] + 1, 3)
            continue
        if sizes[agent] > capacity:
            continue
        while small_bytes + main_bytes + sizes[agent] > capacity:
            if small_count and (small_bytes >= small_share or main_count == 0):
                moved = small[small_head]
                small_head = (small_head + 1) % len(small)
                small_count -= 1
                small_bytes -= sizes[moved]
                if uses[moved] > 0:
                    uses[moved] = 0
                    place[moved] = MAIN
                    main[(main_head + main_count) % len(main)] = moved
                    main_count += 1
                    main_bytes += sizes[moved]
                else:
                    place[moved] = OUTSIDE
                    ghost_clock += sizes[moved]
                    ghosted[moved] = ghost_clock
            else:
                moved = main[main_head]
                main_head = (main_head + 1) % len(main)
                if uses[moved] > 0:
                    uses[moved] -= 1
                    main[(main_head + main_count - 1) % len(main)] = moved
                else:
                    main_count -= 1
                    main_bytes -= sizes[moved]
                    place[moved] = OUTSIDE
        uses[agent] = 0
        remembered = ghosted[agent] >= 0 and ghost_clock - ghosted[agent] < capacity - small_share
        ghosted[agent] = -1
        if remembered:
            place[agent] = MAIN
            main[(main_head + main_count) % len(main)] = agent
            main_count += 1
            main_bytes += sizes[agent]
        else:
            place[agent] = SMALL
            small[(small_head + small_count) % len(small)] = agent
            small_count += 1
            small_bytes += sizes[agent]
    return hits
