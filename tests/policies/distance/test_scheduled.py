import numpy as np
import pytest

from scalesim.policies.distance.scheduled import Drawn, HourlyRate, Wake

INF = float("inf")


def test_wake_counts_down_and_is_given_up_after_its_grace():
    wake = Wake(3, grace_steps=1.0)
    wake.wake(np.array([0, 1]), np.array([5.0, 2.5]))
    assert wake.distances(2).tolist() == [3.0, 0.5, INF]
    assert wake.distances(3).tolist() == [2.0, 0.0, INF]
    assert wake.distances(4).tolist() == [1.0, INF, INF]
    wake.wake(np.array([0]), np.array([np.nan]))
    assert wake.distances(4).tolist() == [INF, INF, INF]


def test_drawn_schedule():
    drawn = Drawn(np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], bool), first_step=10)
    assert drawn.distances(10).tolist() == [0, 1, INF]
    assert drawn.distances(11).tolist() == [1, 0, INF]
    assert drawn.distances(11.5).tolist() == [0.5, 0, INF], "the step is under way"
    assert drawn.distances(99).tolist() == [INF, INF, INF]


@pytest.mark.parametrize("now", [0.0, 7.3, 100.0])
def test_a_constant_rate_waits_for_one_over_it(now):
    rates = np.array([0.25, 2.0, 0.01])
    hourly = HourlyRate(np.repeat(rates[:, None], 24, axis=1))
    np.testing.assert_allclose(hourly.distances(now), 1 / rates, rtol=1e-5)


def test_an_agent_that_sleeps_waits_for_its_morning():
    awake = np.zeros((1, 24))
    awake[0, 8:20] = 1.0
    hourly = HourlyRate(awake, steps_per_hour=6)
    assert hourly.distances(0).tolist() == [9 * 6], "one activation is expected by nine"
    assert hourly.distances(19.5 * 6).tolist() == [13 * 6], "half today, half tomorrow"
    assert HourlyRate(np.zeros((1, 24))).distances(3).tolist() == [INF]


def test_the_expected_wait_is_the_mass_of_one_activation():
    rng = np.random.default_rng(0)
    per_hour = rng.gamma(0.5, 0.2, (50, 24))
    now = 17.4
    waits = HourlyRate(per_hour).distances(now).astype(float)
    fine = now + np.arange(0, 24 * 60, 1e-2)
    rate = per_hour[:, (fine % 24).astype(int)]
    mass = np.cumsum(rate, axis=1) * 1e-2
    expected = np.argmax(mass >= 1, axis=1) * 1e-2
    reached = mass[:, -1] >= 1
    np.testing.assert_allclose(waits[reached], expected[reached], atol=0.1)
