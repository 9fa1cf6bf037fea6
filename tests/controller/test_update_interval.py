from __future__ import annotations

import pytest

from scalesim.controller.update_interval import BUSY_SHARE, LONGEST_S, SHORTEST_S, UpdateInterval


class Process:
    """A controller that spends so much for each update of replicas, and something besides."""

    def __init__(self, replicas: int, update_s: float, besides: float = 0.0) -> None:
        self.replicas, self.update_s, self.besides = replicas, update_s, besides
        self.now = self.busy = 0.0
        self.interval = UpdateInterval(lambda: self.busy, lambda: self.now)

    def run(self, seconds: float, step_s: float = 0.05) -> None:
        for _ in range(int(seconds / step_s)):
            wanted = self.replicas * self.update_s / self.interval.interval_s + self.besides
            self.now += step_s
            self.busy += min(wanted, 1.0) * step_s
            self.interval.look()

    @property
    def load(self) -> float:
        return self.replicas * self.update_s / self.interval.interval_s + self.besides


def test_a_controller_with_little_to_do_hears_everything_at_once() -> None:
    process = Process(replicas=2, update_s=0.001)
    process.run(60)
    assert process.interval.interval_s == SHORTEST_S


@pytest.mark.parametrize("replicas", [16, 64, 256])
def test_a_busy_controller_comes_to_its_share_of_a_processor(replicas: int) -> None:
    process = Process(replicas, update_s=0.0015, besides=0.05)
    process.run(10)
    assert process.load == pytest.approx(BUSY_SHARE, rel=0.1)
    process.replicas = 2
    process.run(10)
    assert process.interval.interval_s == SHORTEST_S


def test_however_busy_it_is_replicas_are_heard() -> None:
    process = Process(replicas=4, update_s=0.001, besides=1.0)
    process.run(60)
    assert process.interval.interval_s == LONGEST_S
