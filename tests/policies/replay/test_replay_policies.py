"""One conformance suite over every policy, and the figures of the recorded run."""

import numpy as np
import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.replay.activation_trace import make_trace, parse_trace
from scalesim.policies.replay.case import Case
from scalesim.policies.replay.curves import SHARES, miss_ratio_curves
from scalesim.policies.replay.replay_policies import POLICIES, replay
from scalesim.policies.workloads import generate
from tests.support.beside_checkout import SMALLVILLE, needs_smallville


@pytest.fixture(scope="module")
def trace():
    return generate("event-queue", 40, 60, seed=3).trace


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("capacity", [0.2, 10 * 2**27])
@pytest.mark.parametrize("name", POLICIES)
class TestEveryPolicy:
    def test_report(self, trace, name, capacity, prefetch):
        report = replay(Case(trace, capacity, prefetch=prefetch), [name])
        assert report["requests"] == len(trace.agent)
        assert report["agents"] == 40
        row = report["policies"][name]
        assert row["hit_ratio"] == row["hits"] / report["requests"]
        assert 0 <= row["byte_hit_ratio"] <= 1
        assert row["stall_s"] >= 0
        assert row["requests_per_s"] > 0
        assert row["prefetch"].keys() == {"issued", "used", "late", "wasted_bytes"}
        if not prefetch:
            assert set(row["prefetch"].values()) == {0}

    def test_same_question_same_answer(self, trace, name, capacity, prefetch):
        first, second = (POLICIES[name](Case(trace, capacity, prefetch=prefetch)) for _ in "12")
        assert first.hits.tolist() == second.hits.tolist()
        assert first.stall_s.tolist() == second.stall_s.tolist()

    def test_with_room_for_all_only_first_requests_miss(self, trace, name, capacity, prefetch):
        room = 1.0 if isinstance(capacity, float) else 40 * 2**27
        served = POLICIES[name](Case(trace, room, prefetch=prefetch))
        first = np.unique(trace.agent, return_index=True)[1]
        assert np.delete(served.hits, first).all()

    def test_nobody_has_fewer_stalls_than_the_oracle(self, trace, name, capacity, prefetch):
        case = Case(trace, capacity, prefetch=prefetch)
        stall_s = POLICIES[name](case).stall_s.sum()
        assert stall_s >= POLICIES["oracle"](case).stall_s.sum() - 1e-9


@pytest.mark.parametrize("hints", ["reported", "learned", "none", "noisy:1.0"])
def test_every_kind_of_hint_is_at_least_lru_less_a_point(trace, hints):
    policies = replay(Case(trace, 0.2, hints, prefetch=False), ["lru", "distance"])["policies"]
    assert policies["distance"]["hit_ratio"] >= policies["lru"]["hit_ratio"] - 0.01


@pytest.mark.parametrize("hints", ["", "tell", "noisy", "noisy:x", "noisy:-1", "noisy:nan"])
def test_unknown_hints_are_refused(trace, hints):
    with pytest.raises(InvalidRequestError, match="hints"):
        Case(trace, 0.5, hints)


def test_unknown_policy_lists_the_choices(trace):
    with pytest.raises(InvalidRequestError, match="s3fifo"):
        replay(Case(trace, 0.5), ["mru"])


def test_a_share_is_rounded_down_to_at_least_one_agent():
    trace = make_trace(np.zeros(3), np.arange(3), 3)
    assert Case(trace, 0.1).capacity == 1
    assert Case(trace, 0.67).capacity == 2


def test_byte_capacity_counts_what_each_agent_takes():
    lines = [
        f'{{"step": 0, "agent": "{name}", "bytes": {size}}}'
        for name, size in [("big", 90), ("small", 10), ("big", 90), ("small", 10)]
    ]
    report = replay(Case(parse_trace(lines), 95, prefetch=False), ["lru"])
    assert report["policies"]["lru"]["hits"] == 0
    report = replay(Case(parse_trace(lines), 100, prefetch=False), ["lru"])
    assert report["policies"]["lru"]["byte_hit_ratio"] == 0.5


def test_belady_misses_less_with_more_memory(trace):
    curves = miss_ratio_curves(trace, ["belady"], "reported", prefetch=False)
    assert curves.shares == SHARES
    assert curves.miss_ratio["belady"] == sorted(curves.miss_ratio["belady"], reverse=True)


@pytest.mark.slow
@needs_smallville
def test_the_recorded_smallville_run():
    with SMALLVILLE.open() as lines:
        trace = parse_trace(lines)
    names = ["lru", "distance", "belady", "oracle"]
    replayed = replay(Case(trace, 0.4, prefetch=False), names)["policies"]
    assert round(replayed["lru"]["hit_ratio"], 3) == 0.280
    assert round(replayed["oracle"]["hit_ratio"], 3) == 0.620
    assert replayed["belady"]["hits"] == replayed["oracle"]["hits"]
    assert replayed["distance"]["hit_ratio"] >= 0.56
    learned = replay(Case(trace, 0.4, "learned", prefetch=False), ["distance"])["policies"]
    assert learned["distance"]["hit_ratio"] >= 0.50
