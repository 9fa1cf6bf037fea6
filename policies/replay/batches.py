"""A trace played against one link, batch by batch: who runs together is in use together.

A model, not a measurement. A batch is what an engine serves at once: consecutive requests of one
step, as many as fit on the device. All of them run for as long as all of them take together, from
when their own state is there; prefill hides loads behind it. A request that ends leaves its room to
fetches for the next batch: nearest first, in place of the farthest, on the link that the batch's
own loads have left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.compiled import compiled
from scalesim.policies.replay.heap import empty_heap, put, take
from scalesim.policies.replay.hints import Hints
from scalesim.policies.replay.more_state import Copies


class Batches(NamedTuple):
    """What an engine does at once.

    Attributes:
        begins: int64[b + 1], first request of each batch, and the number of all.
        run_s: float64[b], seconds that a batch takes without waiting.
        hidden_s: float64[b], of these, seconds behind which its loads hide.
        pause_s: float64[b], seconds between its end and the next one's begin.
    """

    begins: NDArray[np.int64]
    run_s: NDArray[np.float64]
    hidden_s: NDArray[np.float64]
    pause_s: NDArray[np.float64]


class BatchRun(NamedTuple):
    """What a policy did for a trace.

    Attributes:
        hits: bool[n], the state was on the device when its request came.
        delay_s: float64[b], how long each batch took beyond `run_s`.
    """

    hits: NDArray[np.bool_]
    delay_s: NDArray[np.float64]


@compiled
def dealt(
    step: NDArray[np.int64],
    agent: NDArray[np.int32],
    sizes: NDArray[np.int64],
    capacity: int,
    most: int,
) -> NDArray[np.int64]:
    """Return int64[n], requests in the order of their batches, steps staying where they are.

    Each batch takes the first that are left; an agent's next request waits for its answer.
    """
    order = np.empty(len(step), np.int64)
    taken = np.zeros(len(step), np.bool_)
    batch_of = np.full(len(sizes), -1, np.int64)
    batch, done, begin = 0, 0, 0
    while begin < len(step):
        end = begin
        while end < len(step) and step[end] == step[begin]:
            end += 1
        while begin < end:
            used = count = 0
            for i in range(begin, end):
                who = agent[i]
                if taken[i] or batch_of[who] == batch:
                    continue
                if count and (count >= most or used + sizes[who] > capacity):
                    break
                taken[i] = True
                batch_of[who] = batch
                used += sizes[who]
                order[done] = i
                count += 1
                done += 1
            while begin < end and taken[begin]:
                begin += 1
            batch += 1
    return order


@compiled
def cut(
    step: NDArray[np.int64],
    agent: NDArray[np.int32],
    sizes: NDArray[np.int64],
    capacity: int,
    most: int,
) -> NDArray[np.int64]:
    """Return where batches of dealt requests begin, and the number of requests.

    A batch is of one step, of at most so many requests, one of an agent, and they fit together.
    """
    begins = np.zeros(len(step) + 1, np.int64)
    batch_of = np.full(len(sizes), -1, np.int64)
    count, used = 0, 0
    for i in range(len(step)):
        again = batch_of[agent[i]] == count
        full = used + sizes[agent[i]] > capacity or i - begins[count] >= most
        if i and (step[i] != step[i - 1] or again or full):
            count += 1
            begins[count] = i
            used = 0
        batch_of[agent[i]] = count
        used += sizes[agent[i]]
    begins[count + 1] = len(step)
    return begins[: count + 2]


@compiled
def on_demand(hits: NDArray[np.bool_], waits: Copies, batches: Batches) -> BatchRun:
    """Return the run of a policy that never fetches ahead: a batch loads what it lacks.

    One read of storage follows the other, and each is loaded while the next is read. Adapters share
    the link with loads; no prefill hides them, as it reads them from its first layer on.
    """
    delay_s = np.zeros(len(batches.run_s))
    for b in range(len(delay_s)):
        read = loaded = adapters = adapters_on_link = 0.0
        for i in range(batches.begins[b], batches.begins[b + 1]):
            read += waits.read_s[i]
            if waits.read_s[i] > 0 or waits.load_s[i] > 0:
                loaded = max(loaded, read) + waits.load_s[i]
            adapters += waits.adapter_s[i]
            adapters_on_link += waits.adapter_link_s[i]
        loaded += adapters_on_link
        delay_s[b] = max(loaded - batches.hidden_s[b], adapters, 0.0)
    return BatchRun(hits, delay_s)


@compiled
def fetching(
    requests: NDArray[np.int32],
    batches: Batches,
    sizes: NDArray[np.int64],
    capacity: int,
    hints: Hints,
    load_s: NDArray[np.float64],
) -> BatchRun:
    """Return the run of keeping and fetching by `hints`; arguments as for `timeline.prefetching`.

    No batch may be larger than `capacity` unless it is of one agent.
    """
    agents = len(sizes)
    hits = np.zeros(len(requests), np.bool_)
    delay_s = np.zeros(len(batches.run_s))
    near, far = empty_heap(agents), empty_heap(agents)
    # `far` holds residents by (-due, last use), `near` absent agents that are foreseen, by due.
    due = np.full(agents, np.inf)
    arrives = np.zeros(agents)
    in_use = np.zeros(agents, np.bool_)
    running = np.zeros(agents, np.int32)  # in the order in which they end
    ends = np.zeros(agents)
    resident = foreseen = hint = 0
    free = capacity
    now = link_free = 0.0
    for b in range(len(delay_s)):
        begin, end = batches.begins[b], batches.begins[b + 1]
        count = 0
        # First those that are there, or on their way; then those that are to be loaded.
        for absent in range(2):
            for i in range(begin, end):
                agent = requests[i]
                if in_use[agent]:
                    hits[i] = hits[i] or absent == 0
                    continue
                if far.where[agent] >= 0:
                    resident = take(far, resident, agent)
                    hits[i] = arrives[agent] <= now
                elif absent:
                    if near.where[agent] >= 0:
                        foreseen = take(near, foreseen, agent)
                    free -= sizes[agent]
                    while free < 0 and resident > 0:
                        victim = far.items[0]
                        resident = take(far, resident, victim)
                        free += sizes[victim]
                        if due[victim] < np.inf:
                            foreseen = put(near, foreseen, victim, due[victim], victim)
                    link_free = max(link_free, now) + load_s[agent]
                    arrives[agent] = link_free
                else:
                    continue
                in_use[agent] = True
                running[count] = agent
                begun = max(now, arrives[agent] - batches.hidden_s[b])
                ends[count] = max(begun + batches.run_s[b], ends[count - 1] if count else now)
                count += 1
        over = ends[count - 1]
        delay_s[b] = over - now - batches.run_s[b]
        while hint < len(hints.at) and hints.at[hint] < end:
            hinted = hints.agent[hint]
            due[hinted] = hints.due[hint]
            hint += 1
            if in_use[hinted]:
                continue
            if far.where[hinted] >= 0:
                resident = put(far, resident, hinted, -due[hinted], far.tie[hinted])
            elif due[hinted] < np.inf and sizes[hinted] <= capacity:
                foreseen = put(near, foreseen, hinted, due[hinted], hinted)
            elif near.where[hinted] >= 0:
                foreseen = take(near, foreseen, hinted)
        left, start, until = 0, max(link_free, now), over + batches.pause_s[b]
        while start < until:
            while left < count and ends[left] <= start:
                agent = running[left]
                in_use[agent] = False
                resident = put(far, resident, agent, -due[agent], begin + left)
                left += 1
            if foreseen == 0:
                break
            wanted = near.items[0]
            while free < sizes[wanted] and resident > 0:
                victim = far.items[0]
                if due[victim] <= due[wanted] or arrives[victim] > start:
                    break
                resident = take(far, resident, victim)
                free += sizes[victim]
                if due[victim] < np.inf:
                    foreseen = put(near, foreseen, victim, due[victim], victim)
            if free < sizes[wanted]:
                if left == count:
                    break
                start = ends[left]
                continue
            foreseen = take(near, foreseen, wanted)
            free -= sizes[wanted]
            start = link_free = start + load_s[wanted]
            arrives[wanted] = link_free
            resident = put(far, resident, wanted, -due[wanted], begin)
        while left < count:
            agent = running[left]
            in_use[agent] = False
            if sizes[agent] <= capacity:
                resident = put(far, resident, agent, -due[agent], begin + left)
            else:
                free += sizes[agent]
            left += 1
        now = until
    return BatchRun(hits, delay_s)
