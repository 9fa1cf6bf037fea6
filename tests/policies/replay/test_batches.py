"""Requests of a step together: who is in use, what hides what, and when room is free again."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.policies.replay.activation_trace import Trace, make_trace
from scalesim.policies.replay.batches import Batches, cut, dealt, fetching, on_demand
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.costs import Costs
from scalesim.policies.replay.hints import Hints, no_hints, oracle_hints
from scalesim.policies.replay.more_state import Adapters, HostTier, adapter_hints, copies
from scalesim.policies.replay.orders.lru import lru

COSTS = Costs(kv_bytes_per_token=1, state_tokens=1, link_bytes_per_s=1.0, request_s=2.0)
"""Every agent takes a second on the link, and every request two of the engine."""


def trace_of(*steps: list[int], agents: int = 6) -> Trace:
    step = np.repeat(np.arange(len(steps)), [len(rows) for rows in steps])
    return make_trace(step, np.array([row for rows in steps for row in rows]), agents)


def played(trace: Trace, capacity: int, pause_s: float = 0.0, costs: Costs = COSTS) -> list[float]:
    case = Case(trace, capacity, costs=costs, at_once=9, pause_s=pause_s)
    stalls = case.follow(oracle_hints(trace)).stall_s
    return [float(stalls[trace.step == step].sum()) for step in np.unique(trace.step)]


def test_batches_are_of_one_step_and_fit() -> None:
    trace = trace_of([0, 1, 2, 0], [3, 4, 5])
    sizes = np.ones(6, np.int64)
    assert cut(trace.step, trace.agent, sizes, 3, 9).tolist() == [0, 3, 4, 7]
    assert cut(trace.step, trace.agent, sizes, 2, 9).tolist() == [0, 2, 4, 6, 7]
    assert cut(trace.step, trace.agent, sizes, 6, 3).tolist() == [0, 3, 4, 7]


def test_an_agents_next_request_waits_for_its_answer() -> None:
    trace = trace_of([0, 0, 1, 0, 2], [2, 2])
    sizes = np.ones(6, np.int64)
    order = dealt(trace.step, trace.agent, sizes, 6, 9)
    assert trace.agent[order].tolist() == [0, 1, 2, 0, 0, 2, 2]
    assert cut(trace.step, trace.agent[order], sizes, 6, 9).tolist() == [0, 3, 4, 5, 6, 7]
    assert trace.agent[dealt(trace.step, trace.agent, sizes, 6, 2)].tolist()[:5] == [0, 1, 0, 2, 0]


def test_a_step_holds_all_its_agents_until_they_end() -> None:
    # Two of three places are in use: one of the last step's two fits beside them.
    assert played(trace_of([0, 1], [2, 3], [0, 1]), 3) == [2.0, 0.0, 1.0]
    assert played(trace_of([0, 1], [2, 3], [0, 1]), 4) == [2.0, 0.0, 0.0]


def test_a_pause_lets_the_link_catch_up() -> None:
    assert played(trace_of([0, 1], [2, 3], [0, 1]), 3, pause_s=1.0) == [2.0, 0.0, 0.0]


def test_room_is_free_as_requests_end() -> None:
    # Agent 1 was loaded after agent 0 and ends a second later: meanwhile agent 2 comes.
    assert played(trace_of([0, 1], [2, 3]), 2) == [2.0, 1.0]


def test_prefill_hides_loads() -> None:
    hidden = COSTS._replace(prefill_s=0.5)
    assert played(trace_of([0, 1], [2, 3]), 2, costs=hidden) == [1.0, 0.0]


def test_without_fetching_ahead_a_batch_loads_what_it_lacks() -> None:
    trace = trace_of([0, 1], [2, 3], [2, 0])
    case = Case(trace, 3, costs=COSTS, at_once=9, prefetch=False)
    sizes = np.ones(6, np.int64)
    served = case.demand(lru(trace.agent, sizes, 3))
    assert served.stall_s.tolist() == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(1, 6),
    st.floats(0.0, 3.0),
)
@settings(max_examples=60, deadline=None)
def test_knowing_nothing_is_recency_and_knowing_all_is_no_worse(
    steps: list[list[int]], capacity: int, pause_s: float
) -> None:
    trace = trace_of(*steps)
    sizes, load_s = np.ones(6, np.int64), np.ones(6)
    begins = cut(trace.step, trace.agent, sizes, capacity, 9)
    count = len(begins) - 1
    batches = Batches(begins, np.diff(begins) * 2.0, np.zeros(count), np.full(count, pause_s))
    nothing = fetching(trace.agent, batches, sizes, capacity, no_hints(), load_s)
    hits = lru(trace.agent, sizes, capacity)
    demand = on_demand(hits, copies(trace.agent, hits, sizes, load_s, None, None), batches)
    all_known = fetching(trace.agent, batches, sizes, capacity, oracle_hints(trace), load_s)
    assert (nothing.delay_s >= -1e-9).all()
    assert nothing.delay_s.sum() <= demand.delay_s.sum() + 1e-9
    assert all_known.delay_s.sum() <= demand.delay_s.sum() + 1e-9


def stalls(trace: Trace, prefetch: bool, pause_s: float = 0.0, **more: Any) -> list[float]:
    case = Case(trace, 3, costs=COSTS, at_once=9, prefetch=prefetch, pause_s=pause_s, **more)
    sizes = np.ones(6, np.int64)
    hints = oracle_hints(trace)
    served = case.follow(hints) if prefetch else case.demand(lru(trace.agent, sizes, 3))
    return [float(served.stall_s[trace.step == step].sum()) for step in np.unique(trace.step)]


def test_what_host_memory_lacks_is_read_before_it_is_loaded() -> None:
    trace = trace_of([0, 1], [2, 3], [0, 1])
    host = HostTier(6, np.full(6, 10.0))  # all fit: each is read once
    assert stalls(trace, False, host=host) == [21.0, 21.0, 2.0]
    assert stalls(trace, False, host=host._replace(capacity=2)) == [21.0, 21.0, 21.0]


def test_reads_are_made_ahead_where_there_is_time() -> None:
    trace = trace_of([0, 1], [2, 3], [0, 1])
    host = HostTier(6, np.full(6, 5.0))
    slow = stalls(trace, True, host=host)
    rested = stalls(trace, True, pause_s=10.0, host=host)
    assert rested[1:] == [0.0, 0.0]
    assert slow[1] > 0
    assert sum(slow) < sum(stalls(trace, False, host=host))


def test_adapters_wait_for_slots_and_share_the_link() -> None:
    trace = trace_of([0, 1], [2, 3], [0, 1])
    own = Adapters(np.arange(6, dtype=np.int32), slots=2, link_s=3.0, start_s=1.0)
    # Two prefixes and two adapters on the link; nothing stays in two slots.
    assert stalls(trace, False, adapters=own) == [8.0, 8.0, 8.0]
    shared = own._replace(of=np.zeros(6, np.int32))
    assert stalls(trace, False, adapters=shared) == [5.0, 2.0, 2.0]
    assert stalls(trace, True, pause_s=20.0, adapters=own)[1:] == [0.0, 0.0]


def test_an_adapter_is_due_with_the_first_of_its_agents() -> None:
    said = Hints(np.zeros(3, np.int64), np.array([0, 2, 1], np.int32), np.array([9.0, 4.0, 7.0]))
    two = Adapters(np.array([0, 1, 0], np.int32), 1, 1.0)
    found = adapter_hints(said, two)
    assert found.agent.tolist() == [0, 0, 1]
    assert found.due.tolist() == [9.0, 4.0, 7.0]


def test_what_host_memory_has_no_room_for_comes_from_storage_each_time() -> None:
    little = HostTier(1, np.full(6, 10.0))
    trace = trace_of([0, 1], [2, 3], [0, 1])
    assert stalls(trace, True, pause_s=100.0, host=little) == [22.0, 0.0, 0.0]
    assert sum(stalls(trace, True, host=little)) > 40.0
