import numpy as np
import pytest

from scalesim.policies.distance.learned import LEARNERS, Learned
from scalesim.policies.distance.learned.shadow_scoring import Scoreboard

AGENTS = 12


def watched(learner, requests, batch=1):
    requests = np.asarray(requests, np.int64)
    for start in range(0, len(requests), batch):
        learner.observe(requests[start : start + batch])
    return learner


@pytest.mark.parametrize("name", LEARNERS)
class TestEveryLearner:
    def test_answers_before_and_after_the_first_request(self, name):
        learner = LEARNERS[name](AGENTS)
        assert np.isfinite(learner.ahead()).all()
        ahead = watched(learner, [3]).ahead()
        assert ahead.shape == (AGENTS,)
        assert ahead.dtype == np.float64
        assert np.isfinite(ahead).all()
        assert (ahead >= 0).all()

    def test_agents_never_seen_are_farthest(self, name):
        ahead = watched(LEARNERS[name](AGENTS), [0, 1, 2, 3, 4] * 40).ahead()
        assert ahead[5:].min() > ahead[:5].max()

    def test_no_request_is_no_news(self, name):
        learner = watched(LEARNERS[name](AGENTS), [0, 1, 2] * 9)
        before = learner.ahead()
        learner.observe(np.zeros(0, np.int64))
        np.testing.assert_array_equal(learner.ahead(), before)

    def test_requests_may_come_in_batches(self, name):
        requests = np.random.default_rng(0).permuted(np.tile(np.arange(8), (30, 1)), axis=1)
        single = watched(LEARNERS[name](AGENTS), requests.ravel()).ahead()
        batched = watched(LEARNERS[name](AGENTS), requests.ravel(), batch=8).ahead()
        np.testing.assert_allclose(single, batched, rtol=0.02)


@pytest.mark.parametrize("name", ["interarrival", "cyclic", "transition"])
def test_a_rhythm_is_learned(name):
    requests = list(range(AGENTS)) * 30
    ahead = watched(LEARNERS[name](AGENTS), [*requests, 0, 1, 2]).ahead()
    assert np.argsort(ahead)[:3].tolist() == [3, 4, 5]


def test_popularity_is_learned():
    rng = np.random.default_rng(0)
    requests = rng.choice(4, 2000, p=[0.6, 0.3, 0.08, 0.02])
    ahead = watched(LEARNERS["frequency"](4), requests).ahead()
    assert np.argsort(ahead).tolist() == [0, 1, 2, 3]
    assert ahead[0] == pytest.approx(1 / 0.6, rel=0.3)


def test_a_change_of_habits_is_noticed():
    learned = Learned(AGENTS, capacity=4)
    watched(learned, list(range(AGENTS)) * 40)
    assert learned.leader in ("cyclic", "interarrival")
    rng = np.random.default_rng(1)
    for _ in range(200):
        watched(learned, np.repeat(rng.integers(0, AGENTS, 2), 6))
    assert learned.leader == "recency"


def test_distances_are_in_steps():
    learned = Learned(AGENTS, capacity=4)
    for step in range(60):
        learned.observe(np.arange(AGENTS), now=float(step))
    distances = learned.distances(60)
    assert distances.dtype == np.float32
    assert distances.max() == pytest.approx(1.0, rel=0.1)


def test_large_populations_are_scored_by_a_sample():
    learned = Learned(5000, capacity=500, sample=250)
    rng = np.random.default_rng(0)
    for _ in range(20):
        learned.observe(rng.integers(0, 5000, 500))
    assert np.isfinite(learned.distances(0)).all()


def test_the_floor_leads_again_as_soon_as_it_is_ahead():
    board = Scoreboard(3, half_life=50)
    for _ in range(200):
        board.update(np.array([0.0, 0.0, 1.0]))
    assert board.leader == 2
    lost = 0
    while board.leader == 2:
        board.update(np.array([1.0, 0.0, 0.0]))
        lost += 1
    assert board.leader == 0
    assert lost < 2 * 50


def test_a_challenger_must_be_clearly_ahead():
    board = Scoreboard(2, half_life=100, margin=0.05, trusted=1)
    assert board.leader == 1
    for request in range(400):
        served = float(request % 50 != 0)
        board.update(np.array([served, 1.0]))
    assert board.leader == 1
