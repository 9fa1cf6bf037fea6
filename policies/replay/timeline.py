"""A trace played against one link: who waits for state, and what prefetching buys.

A model, not a measurement: requests are served one after the other, each takes its service time,
and one link carries one agent's state at a time. While a request is served the link is free to
fetch ahead: nearest first, in place of the farthest, and only if that one is farther. A
request whose state is absent loads it and waits; a fetch under way is waited for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled
from scalesim.policies.replay.heap import Heap, empty_heap, put, take
from scalesim.policies.replay.hints import Hints


class TimelineRun(NamedTuple):
    """What a policy did for a trace.

    Attributes:
        hits: bool[n], the state was on the device when its request came.
        stall_s: float64[n], how long each request waited for state; of requests that run together
            each has an equal part of how much longer all of them took.
        issued: Fetches ahead of time; not counted, as what follows, where requests run together.
        used: Of these, how many served a request before they were evicted.
        late: Of the used, how many were still under way when their request came.
        wasted: int64[agents], fetches of each agent that served nothing.
    """

    hits: NDArray[np.bool_]
    stall_s: NDArray[np.float64]
    issued: int
    used: int
    late: int
    wasted: NDArray[np.int64]


def demand_only(
    hits: NDArray[np.bool_], requests: NDArray[np.int32], load_s: NDArray[np.float64]
) -> TimelineRun:
    """Return the outcome of a policy that never fetches ahead: every miss is waited for."""
    nothing = np.zeros(len(load_s), np.int64)
    return TimelineRun(hits, np.where(hits, 0.0, load_s[requests]), 0, 0, 0, nothing)


@compiled
def prefetching(
    requests: NDArray[np.int32],
    sizes: NDArray[np.int64],
    capacity: int,
    hints: Hints,
    load_s: NDArray[np.float64],
    service_s: NDArray[np.float64],
) -> TimelineRun:
    """Return the outcome of keeping and fetching by `hints`.

    Args:
        requests: int32[n], agent of each request.
        sizes: int64[agents], in the unit of `capacity`.
        capacity: What fits on the device.
        hints: What is known when.
        load_s: float64[agents], seconds on the link.
        service_s: float64[n], seconds each request keeps the engine busy.
    """
    agents = len(sizes)
    hits = np.zeros(len(requests), np.bool_)
    stall_s = np.zeros(len(requests))
    wasted = np.zeros(agents, np.int64)
    near, far = empty_heap(agents), empty_heap(agents)
    # `far` holds residents by (-due, last use), `near` absent agents that are foreseen, by due.
    due = np.full(agents, np.inf)
    arrives = np.zeros(agents)
    speculative = np.zeros(agents, np.bool_)
    resident = foreseen = hint = issued = used = late = 0
    free = capacity
    now = link_free = 0.0
    for i in range(len(requests)):
        agent = requests[i]
        while hint < len(hints.at) and hints.at[hint] <= i:
            hinted = hints.agent[hint]
            due[hinted] = hints.due[hint]
            hint += 1
            if far.where[hinted] >= 0:
                put(far, resident, hinted, -due[hinted], far.tie[hinted])
            elif due[hinted] < np.inf and sizes[hinted] <= capacity:
                foreseen = put(near, foreseen, hinted, due[hinted], hinted)
            elif near.where[hinted] >= 0:
                foreseen = take(near, foreseen, hinted)

        # The agent being served is in use: it is in neither heap until its service ends.
        if far.where[agent] >= 0:
            resident = take(far, resident, agent)
            hits[i] = arrives[agent] <= now
            stall_s[i] = max(arrives[agent] - now, 0.0)
            if speculative[agent]:
                speculative[agent] = False
                used += 1
                late += not hits[i]
        else:
            link_free = max(link_free, now) + load_s[agent]
            stall_s[i] = link_free - now
            if sizes[agent] <= capacity:
                if near.where[agent] >= 0:
                    foreseen = take(near, foreseen, agent)
                free -= sizes[agent]
                while free < 0:
                    free += sizes[far.items[0]]
                    foreseen = _evict(near, foreseen, far, resident, due, speculative, wasted)
                    resident -= 1
        now += stall_s[i] + service_s[i]
        while foreseen and link_free < now:
            wanted = near.items[0]
            start = max(link_free, now - service_s[i])
            while free < sizes[wanted] and resident > 0:
                victim = far.items[0]
                if due[victim] <= due[wanted] or arrives[victim] > start:
                    break
                free += sizes[victim]
                foreseen = _evict(near, foreseen, far, resident, due, speculative, wasted)
                resident -= 1
            if free < sizes[wanted]:
                break
            foreseen = take(near, foreseen, wanted)
            free -= sizes[wanted]
            link_free = start + load_s[wanted]
            arrives[wanted] = link_free
            speculative[wanted] = True
            issued += 1
            resident = put(far, resident, wanted, -due[wanted], i)
        if sizes[agent] <= capacity:
            resident = put(far, resident, agent, -due[agent], i)
    for agent in range(agents):
        wasted[agent] += speculative[agent]
    return TimelineRun(hits, stall_s, issued, used, late, wasted)


@compiled
def _evict(
    near: Heap,
    foreseen: int,
    far: Heap,
    resident: int,
    due: NDArray[np.float64],
    speculative: NDArray[np.bool_],
    wasted: NDArray[np.int64],
) -> int:
    """Take the farthest resident out; return the count of absent agents that are foreseen."""
    victim = far.items[0]
    take(far, resident, victim)
    wasted[victim] += speculative[victim]
    speculative[victim] = False
    if due[victim] < np.inf:
        foreseen = put(near, foreseen, victim, due[victim], victim)
    return foreseen
