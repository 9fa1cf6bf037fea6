"""Every compiled order against a plain Python one that is slow and plainly right."""

from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.policies.replay.activation_trace import make_trace
from scalesim.policies.replay.hints import oracle_hints
from scalesim.policies.replay.orders.belady import NEVER, belady, next_uses
from scalesim.policies.replay.orders.hinted import farthest_first
from scalesim.policies.replay.orders.lfu import gdsf, lfu
from scalesim.policies.replay.orders.lru import lru
from scalesim.policies.replay.orders.oracle import cost_aware
from scalesim.policies.replay.orders.s3fifo import s3fifo

AGENTS = 8
traces = st.lists(st.integers(0, AGENTS - 1), min_size=1, max_size=60).map(
    lambda requests: np.array(requests, np.int32)
)
capacities = st.integers(0, AGENTS)
unit = np.ones(AGENTS, np.int64)
sizes = st.lists(st.integers(1, 5), min_size=AGENTS, max_size=AGENTS).map(
    lambda values: np.array(values, np.int64)
)


def keep(requests, size, capacity, worst):
    """Replay with `worst(resident, i)` naming who leaves."""
    resident, hits = set(), []
    for i, agent in enumerate(requests.tolist()):
        hits.append(agent in resident)
        if agent not in resident and size[agent] <= capacity:
            while sum(size[a] for a in resident) + size[agent] > capacity:
                resident.remove(worst(resident, i))
            resident.add(agent)
    return hits


@given(traces, sizes, st.integers(0, 20))
def test_lru(requests, size, capacity):
    order: OrderedDict[int, None] = OrderedDict()
    hits = []
    for agent in requests.tolist():
        hits.append(agent in order)
        if agent in order:
            order.move_to_end(agent)
        elif size[agent] <= capacity:
            while sum(size[a] for a in order) + size[agent] > capacity:
                order.popitem(last=False)
            order[agent] = None
    assert lru(requests, size, capacity).tolist() == hits


@given(traces, sizes, st.integers(0, 20))
def test_lfu(requests, size, capacity):
    def worst(resident, i):
        cacheable = [a for a in requests[:i].tolist() if size[a] <= capacity]
        counts = Counter(cacheable)
        last = {agent: place for place, agent in enumerate(requests[:i].tolist())}
        return min(resident, key=lambda a: (counts[a], last[a]))

    assert lfu(requests, size, capacity).tolist() == keep(requests, size, capacity, worst)


@given(traces, sizes, st.integers(0, 20))
def test_gdsf(requests, size, capacity):
    cost = np.arange(1.0, AGENTS + 1)
    age, priority, count, last, hits = 0.0, {}, {}, {}, []
    for i, agent in enumerate(requests.tolist()):
        hits.append(agent in priority)
        if size[agent] > capacity:
            continue
        if agent not in priority:
            while sum(size[a] for a in priority) + size[agent] > capacity:
                victim = min(priority, key=lambda a: (priority[a], last[a]))
                age = priority.pop(victim)
                count[victim] = 0
        count[agent] = count.get(agent, 0) + 1
        priority[agent] = age + count[agent] * (cost[agent] / size[agent])
        last[agent] = i
    assert gdsf(requests, size, cost, capacity).tolist() == hits


@given(traces, capacities)
def test_belady_is_farthest_first_with_the_whole_truth(requests, capacity):
    following = next_uses(requests, AGENTS)
    hits = belady(requests, following, AGENTS, capacity)

    def worst(resident, i):
        rest = requests[i:].tolist()
        return max(resident, key=lambda a: rest.index(a) if a in rest else NEVER)

    assert hits.sum() == sum(keep(requests, unit, capacity, worst))
    truth = oracle_hints(make_trace(np.zeros(len(requests), int), requests, AGENTS))
    assert farthest_first(requests, unit, capacity, truth).sum() == hits.sum()
    same = cost_aware(requests, following, unit, np.ones(AGENTS), capacity)
    assert same.sum() == hits.sum()


@given(traces, capacities)
@settings(max_examples=50)
def test_nobody_beats_belady(requests, capacity):
    best = belady(requests, next_uses(requests, AGENTS), AGENTS, capacity).sum()
    for order in (lru, lfu, s3fifo):
        assert order(requests, unit, capacity).sum() <= best
    assert gdsf(requests, unit, np.ones(AGENTS), capacity).sum() <= best


@given(traces)
def test_next_uses(requests):
    following = next_uses(requests, AGENTS).tolist()
    for i, agent in enumerate(requests.tolist()):
        rest = requests[i + 1 :].tolist()
        assert following[i] == (i + 1 + rest.index(agent) if agent in rest else NEVER)


def test_belady_over_more_requests_than_one_word_of_its_tree():
    rng = np.random.default_rng(0)
    requests = rng.integers(0, 500, 300_000).astype(np.int32)
    hits = belady(requests, next_uses(requests, 500), 500, 100)
    truth = oracle_hints(make_trace(np.zeros(len(requests), int), requests, 500))
    expected = farthest_first(requests, np.ones(500, np.int64), 100, truth)
    assert hits.sum() == expected.sum()


def test_s3fifo_resists_a_scan_that_ruins_lru():
    working_set = np.tile(np.arange(20), 50)
    scan = np.arange(20, 1020)
    requests = np.concatenate([working_set, np.insert(scan, range(0, 1000, 5), 7), working_set])
    requests = requests.astype(np.int32)
    size = np.ones(1020, np.int64)
    assert s3fifo(requests, size, 40).sum() > lru(requests, size, 40).sum()


@given(traces, sizes, st.integers(0, 20))
def test_s3fifo_keeps_everything_that_fits(requests, size, capacity):
    hits = s3fifo(requests, size, capacity)
    first = np.zeros(len(requests), bool)
    first[np.unique(requests, return_index=True)[1]] = True
    assert not hits[first].any()
    assert not hits[size[requests] > capacity].any()
    if size[np.unique(requests)].sum() <= capacity:
        assert hits[~first].all()


@pytest.mark.parametrize("capacity", [1, 3])
def test_cost_aware_keeps_what_is_dear(capacity):
    requests = np.array([0, 1, 2, 3, 0], np.int32)
    cost = np.array([100.0, 1.0, 1.0, 1.0])
    following = next_uses(requests, 4)
    hits = cost_aware(requests, following, np.ones(4, np.int64), cost, capacity)
    assert bool(hits[-1]) == (capacity > 1)
