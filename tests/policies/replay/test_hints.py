import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.replay.activation_trace import make_trace
from scalesim.policies.replay.guard import guarded
from scalesim.policies.replay.hints import (
    Hints,
    backed,
    expiring,
    foreseen_hints,
    noisy_hints,
    oracle_hints,
    reported_hints,
)
from scalesim.policies.replay.orders.hinted import farthest_first
from scalesim.policies.replay.orders.lru import lru
from scalesim.policies.workloads import WORKLOADS, generate


def known_at(hints: Hints, position: int, agents: int) -> list[float]:
    """Return what the stream says of each agent before the request at `position` is served."""
    due = np.full(agents, np.inf)
    for at, agent, when in zip(hints.at, hints.agent, hints.due, strict=True):
        if at <= position:
            due[agent] = when
    return due.tolist()


def test_reported_hints_know_this_step_and_the_next():
    trace = make_trace(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2]), 3)
    reported = reported_hints(trace, horizon_steps=1)
    inf = float("inf")
    assert known_at(reported, 0, 3) == [inf, 1, inf], "both others are two steps away"
    assert known_at(reported, 2, 3) == [3, inf, 4]
    assert (np.diff(reported.at) >= 0).all()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 6))
def test_reported_far_enough_is_the_oracle(requests, per_step):
    step = np.arange(len(requests)) // per_step
    trace = make_trace(step, np.array(requests), 6)
    reported, truth = reported_hints(trace, horizon_steps=100), oracle_hints(trace)
    for position in range(len(requests)):
        assert known_at(reported, position, 6) == known_at(truth, position, 6)


def test_hints_expire_unless_repeated_or_fulfilled():
    hints = Hints(np.array([0, 5]), np.array([0, 1], np.int32), np.array([3.0, 20.0]))
    forgotten = expiring(hints, patience=4)
    assert known_at(forgotten, 6, 2)[0] == 3.0
    assert known_at(forgotten, 7, 2)[0] == float("inf")
    repeated = Hints(np.array([0, 5]), np.array([0, 0], np.int32), np.array([3.0, 20.0]))
    assert known_at(expiring(repeated, patience=4), 7, 2)[0] == 20.0


def test_what_is_not_reported_is_learned_and_lies_behind():
    reported = Hints(np.array([0, 4]), np.array([0, 0], np.int32), np.array([9.0, np.inf]))
    learned = Hints(np.array([0, 0]), np.array([0, 1], np.int32), np.array([2.0, 1.0]))
    both = backed(reported, learned, 2)
    before, after = known_at(both, 0, 2), known_at(both, 4, 2)
    assert before[0] == 9.0
    assert before[0] < before[1]
    assert after[1] < after[0]


def test_a_step_of_foreseen_distances_becomes_positions():
    trace = make_trace(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 2)
    foreseen = np.array([[0.0, 1.0], [np.inf, 0.0]], np.float32)
    hints = foreseen_hints(trace, foreseen)
    assert known_at(hints, 0, 2) == [float("inf"), 2.0], "agent 0 is being served"
    assert known_at(hints, 2, 2) == [float("inf"), 2.0]


def lies(hints: Hints) -> Hints:
    """Nearest called farthest, absent called now."""
    distance = hints.due - hints.at
    return hints._replace(
        due=np.where(np.isfinite(distance), hints.at + 1e6 / (1 + distance), hints.at + 1.0)
    )


def late(hints: Hints) -> Hints:
    return hints._replace(at=hints.at + 40)


DISTORTIONS = {
    "noise-0.3": lambda h, rng: noisy_hints(h, 0.3, rng),
    "noise-1": lambda h, rng: noisy_hints(h, 1.0, rng),
    "noise-4": lambda h, rng: noisy_hints(h, 4.0, rng),
    "late": lambda h, rng: late(h),
    "lies": lambda h, rng: lies(h),
    "everything-now": lambda h, rng: h._replace(due=h.at.astype(np.float64)),
    "strangers": lambda h, rng: h._replace(agent=rng.permutation(h.agent)),
}


@functools.cache
def made(workload, seed):
    """Return a trace, what its simulation reports, and the share that LRU finds."""
    trace = generate(workload, 60, 60 if workload in ("round-robin", "shuffled") else 250, seed)[0]
    return trace, reported_hints(trace), lru(trace.agent, np.ones(60, np.int64), 12).mean()


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("seed", range(2))
def test_no_distortion_costs_more_than_one_point_against_lru(workload, distortion, seed):
    trace, reported, found_by_lru = made(workload, seed)
    size = np.ones(60, np.int64)
    bad = DISTORTIONS[distortion](reported, np.random.default_rng(seed))
    bad = expiring(bad, 2 * len(trace.agent) / (trace.step[-1] + 1))

    def play(hints):
        return farthest_first(trace.agent, size, 12, hints).astype(np.float64)

    hits = play(guarded(trace, [bad], play)).mean()
    assert hits >= found_by_lru - 0.01
