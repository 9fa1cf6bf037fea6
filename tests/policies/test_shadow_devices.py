"""ShadowDevices caches of a live stream against the replay that knows all of it."""

import numpy as np
import pytest

from scalesim.policies.replay.orders.belady import belady, next_uses
from scalesim.policies.replay.orders.lru import lru
from scalesim.policies.shadow_devices import ShadowDevices


def streamed(requests, capacity, held=0.0, **sizes):
    shadow = ShadowDevices(**sizes)
    for key in requests:
        shadow.observe(np.array([key]), np.array([held]), capacity)
    return shadow.hit_shares


def test_a_ring_of_agents_defeats_lru_and_not_the_oracle():
    shares = streamed(np.tile(np.arange(12), 60), capacity=6, held=0.5)
    assert shares["stack"] == pytest.approx(0.5)
    assert shares["lru"] == 0
    assert shares["oracle"] == pytest.approx(5 / 11, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_the_replay(seed):
    rng = np.random.default_rng(seed)
    requests = rng.zipf(1.3, 4000).clip(max=60).astype(np.int32) - 1
    shares = streamed(requests, capacity=15)
    known = requests[:-120]  # the last ones are not scored yet
    again = np.ones(len(known), bool)
    again[np.unique(known, return_index=True)[1]] = False
    lately = np.flatnonzero(again)[-1500:]
    recent = lru(known, np.ones(60, np.int64), 15)[lately].mean()
    ideal = belady(requests, next_uses(requests, 60), 60, 15)[lately].mean()
    assert shares["lru"] == pytest.approx(recent, abs=0.03)
    assert shares["oracle"] == pytest.approx(ideal, abs=0.03)
    assert shares["oracle"] >= shares["lru"]


def test_a_sample_stands_for_many():
    rng = np.random.default_rng(0)
    keys = rng.integers(-(2**62), 2**62, 3000)
    requests = keys[rng.integers(0, 3000, 40_000)]
    shares = streamed(requests, capacity=900, agents=256)
    assert shares["lru"] == pytest.approx(0.3, abs=0.08)
    assert shares["oracle"] > shares["lru"] + 0.1


def test_a_device_of_another_size_starts_over():
    shadow = ShadowDevices()
    ring = np.arange(12)
    for capacity in (6, 12):
        for _ in range(400):
            shadow.observe(ring, np.zeros(12), capacity)
    assert shadow.hit_shares["lru"] > 0.9


def test_nothing_seen_nothing_said():
    shadow = ShadowDevices()
    assert shadow.hit_shares == {}
    shadow.observe(np.arange(5), np.zeros(5), 3)
    assert shadow.hit_shares == {}
