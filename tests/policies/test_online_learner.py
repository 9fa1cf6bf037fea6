import numpy as np

from scalesim.policies.online_learner import OnlineDistanceLearner

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 600)


def test_a_rhythm_of_strangers_is_learned():
    untold = OnlineDistanceLearner(capacity=4)
    for step in range(40):
        untold.observe(KEYS[:12], float(step))
    untold.observe(KEYS[:3], 40.0)
    distances = untold.distances(40.0)
    assert untold.leader in ("cyclic", "interarrival")
    assert untold.hit_shares["recency"] < 0.1 < untold.hit_shares[untold.leader] < 1
    assert untold.keys.tolist() == KEYS[:12].tolist()
    assert len(distances) == 12
    assert np.argsort(distances)[0] == 3


def test_more_agents_than_expected_are_learned_too():
    untold = OnlineDistanceLearner(capacity=40, agents=16)
    for step in range(3):
        untold.observe(KEYS, float(step))
    assert untold.keys.tolist() == KEYS.tolist()
    assert len(untold.distances()) == len(KEYS)


def test_growth_keeps_what_was_lately_seen():
    untold = OnlineDistanceLearner(capacity=4, agents=12)
    for step in range(40):
        untold.observe(KEYS[:12], float(step))
    untold.observe(KEYS[12:13], 40.0)
    distances = untold.distances(40.0)
    assert len(distances) == 13
    assert np.argsort(distances[:12])[0] == 0


def test_nothing_seen_nothing_foreseen():
    untold = OnlineDistanceLearner(capacity=4)
    assert (len(untold), untold.keys.size, untold.distances().size) == (0, 0, 0)
