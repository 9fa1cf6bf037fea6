import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalesim.policies.placement import rendezvous, rendezvous_one

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 20_000)
NAMES = [f"replica-{i}" for i in range(8)]


def test_keys_spread_evenly():
    counts = np.bincount(rendezvous(KEYS, NAMES), minlength=8)
    assert counts.min() > 0.9 * len(KEYS) / 8


def test_consecutive_keys_spread_evenly():
    counts = np.bincount(rendezvous(np.arange(8000), NAMES), minlength=8)
    assert counts.min() > 800


def test_only_the_keys_of_a_lost_replica_move():
    before = np.array(NAMES)[rendezvous(KEYS, NAMES)]
    left = [name for name in NAMES if name != "replica-3"]
    after = np.array(left)[rendezvous(KEYS, left)]
    np.testing.assert_array_equal(before != after, before == "replica-3")


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.permutations(NAMES))
def test_one_key_at_a_time_and_any_order_of_names_give_the_same_answer(keys, names):
    places = rendezvous(np.array(keys, dtype=np.int64), names)
    assert [rendezvous_one(key, names) for key in keys] == places.tolist()
    in_order = rendezvous(np.array(keys, dtype=np.int64), NAMES)
    assert [names[p] for p in places] == [NAMES[p] for p in in_order]


def test_without_replicas_nothing_has_a_place():
    assert rendezvous(KEYS[:3], []).tolist() == [-1, -1, -1]
    assert rendezvous(KEYS[:2], ["only"]).tolist() == [0, 0]
    assert rendezvous(KEYS[:0], NAMES).tolist() == []
