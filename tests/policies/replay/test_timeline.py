import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.replay.activation_trace import make_trace
from scalesim.policies.replay.hints import Hints, no_hints, noisy_hints, oracle_hints
from scalesim.policies.replay.orders.lru import lru
from scalesim.policies.replay.timeline import demand_only, prefetching


def played(requests, hints, capacity=2, load_s=1.0, service_s=2.0, agents=4):
    requests = np.array(requests, np.int32)
    return prefetching(
        requests,
        np.ones(agents, np.int64),
        capacity,
        hints,
        np.full(agents, load_s),
        np.full(len(requests), service_s),
    )


def truth(requests, agents=4):
    return oracle_hints(make_trace(np.zeros(len(requests), int), np.array(requests), agents))


def test_without_hints_it_is_lru():
    requests = [0, 1, 2, 0, 1, 1, 3, 1]
    served = played(requests, no_hints())
    expected = lru(np.array(requests, np.int32), np.ones(4, np.int64), 2)
    assert served.hits.tolist() == expected.tolist()
    assert (
        served.stall_s.tolist()
        == demand_only(expected, np.array(requests, np.int32), np.ones(4)).stall_s.tolist()
    )
    assert served.issued == served.used == served.late == 0


def test_a_fetch_behind_a_longer_request_costs_nothing():
    requests = [0, 1, 2, 3, 0]
    served = played(requests, truth(requests))
    assert served.hits.tolist() == [False, True, True, True, True]
    assert served.stall_s.sum() == 1.0, "only the first of all could not be fetched ahead"
    assert served.used == 4
    assert served.late == 0


def test_a_fetch_under_way_is_waited_for():
    requests = [0, 1]
    served = played(requests, truth(requests), load_s=3.0, service_s=2.0)
    assert served.stall_s.tolist() == [3.0, 1.0]
    assert (served.used, served.late) == (1, 1)


def test_nobody_nearer_is_given_up_for_a_fetch():
    requests = [0, 1, 0, 1, 2, 0, 1]
    served = played(requests, truth(requests), capacity=2)
    assert served.hits[2:4].all()


def test_what_served_nothing_is_wasted():
    wrong = Hints(np.array([0]), np.array([3], np.int32), np.array([1.0]))
    served = played([0, 1, 2], wrong, capacity=4)
    assert served.issued == 1
    assert served.wasted.tolist() == [0, 0, 0, 1]


@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=50),
    st.integers(1, 8),
    st.floats(0.1, 3),
    st.floats(0, 2),
)
def test_counts_add_up(requests, capacity, load_s, sigma):
    hints = noisy_hints(truth(requests, 8), sigma, np.random.default_rng(0))
    served = played(requests, hints, capacity, load_s, agents=8)
    assert served.issued == served.used + served.wasted.sum()
    assert served.late <= served.used
    assert (served.stall_s[served.hits] == 0).all()
    assert (served.stall_s >= 0).all()
    assert served.stall_s.max() <= 2 * load_s + 1e-9, "at worst one fetch is in the way"
