import numpy as np

from scalesim.policies.online_learner import OnlineDistanceLearner

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 600)


def test_a_rhythm_of_strangers_is_learned():
    learner = OnlineDistanceLearner(capacity=4)
    for step in range(40):
        learner.observe(KEYS[:12], float(step))
    learner.observe(KEYS[:3], 40.0)
    distances = learner.distances(40.0)
    assert learner.leader in ("cyclic", "interarrival")
    assert learner.hit_shares["recency"] < 0.1 < learner.hit_shares[learner.leader] < 1
    assert learner.keys.tolist() == KEYS[:12].tolist()
    assert len(distances) == 12
    assert np.argsort(distances)[0] == 3


def test_more_agents_than_expected_are_learned_too():
    learner = OnlineDistanceLearner(capacity=40, agents=16)
    for step in range(3):
        learner.observe(KEYS, float(step))
    assert learner.keys.tolist() == KEYS.tolist()
    assert len(learner.distances()) == len(KEYS)


def test_growth_keeps_what_was_lately_seen():
    learner = OnlineDistanceLearner(capacity=4, agents=12)
    for step in range(40):
        learner.observe(KEYS[:12], float(step))
    learner.observe(KEYS[12:13], 40.0)
    distances = learner.distances(40.0)
    assert len(distances) == 13
    assert np.argsort(distances[:12])[0] == 0


def test_nothing_seen_nothing_foreseen():
    learner = OnlineDistanceLearner(capacity=4)
    assert (len(learner), learner.keys.size, learner.distances().size) == (0, 0, 0)
