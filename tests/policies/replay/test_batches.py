"""Requests of a step together: who is in use, what hides what, and when room is free again."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesim.policies.replay.activation_trace import Trace, make_trace
from scalesim.policies.replay.batches import Batches, cut, fetching, on_demand
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.costs import Costs
from scalesim.policies.replay.hints import no_hints, oracle_hints
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
    assert cut(trace.step, trace.agent, sizes, 3, 9).tolist() == [0, 4, 7]
    assert cut(trace.step, trace.agent, sizes, 2, 9).tolist() == [0, 2, 4, 6, 7]
    assert cut(trace.step, trace.agent, sizes, 6, 3).tolist() == [0, 3, 4, 7]


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
    demand = on_demand(lru(trace.agent, sizes, capacity), trace.agent, batches, load_s)
    all_known = fetching(trace.agent, batches, sizes, capacity, oracle_hints(trace), load_s)
    assert (nothing.delay_s >= -1e-9).all()
    assert nothing.delay_s.sum() <= demand.delay_s.sum() + 1e-9
    assert all_known.delay_s.sum() <= demand.delay_s.sum() + 1e-9
