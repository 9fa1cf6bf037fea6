import numpy as np

from policies.untold import Untold

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 600)


def test_a_rhythm_of_strangers_is_learned():
    untold = Untold(capacity=4)
    for step in range(40):
        untold.observe(KEYS[:12], float(step))
    untold.observe(KEYS[:3], 40.0)
    distances = untold.distances(KEYS[:13], 40.0)
    assert untold.leader in ("cyclic", "interarrival")
    assert np.argsort(distances)[0] == 3
    assert np.isinf(distances[12]), "never seen"
    assert np.isfinite(distances[:12]).all()


def test_more_agents_than_expected_are_learned_too():
    untold = Untold(capacity=40, agents=16)
    for step in range(3):
        untold.observe(KEYS, float(step))
    assert np.isfinite(untold.distances(KEYS)).all()


def test_growth_keeps_what_was_lately_seen():
    untold = Untold(capacity=4, agents=12)
    for step in range(40):
        untold.observe(KEYS[:12], float(step))
    untold.observe(KEYS[12:13], 40.0)
    distances = untold.distances(KEYS[:13], 40.0)
    assert np.isfinite(distances).all()
    assert np.argsort(distances[:12])[0] == 0


def test_nothing_seen_nothing_foreseen():
    assert np.isinf(Untold(capacity=4).distances(KEYS[:3])).all()
    assert Untold(capacity=4).distances(KEYS[:0]).tolist() == []
