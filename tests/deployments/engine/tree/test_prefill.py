from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.engine import boot

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sglang.srt.model_executor.forward_batch_info import ForwardMode

    from scalesim.deployments.engine.sglang.loads import NO_EVENT, wait_in_prefill_alone
    from scalesim.deployments.engine.sglang.prefill import LITTLE_TOKENS, PrefillClock

assert boot


class FakeEvent:
    """Recorded at a time of its stream's; done once the device is there."""

    now = 0.0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing

    def record(self, stream: Any) -> None:
        self.at = stream.ends

    def query(self) -> bool:
        return FakeEvent.now >= self.at

    def elapsed_time(self, end: FakeEvent) -> float:
        return (end.at - self.at) * 1000


class PrefillScheduler(SimpleNamespace):
    def __init__(self) -> None:
        super().__init__(
            device_module=SimpleNamespace(Event=FakeEvent),
            forward_stream=SimpleNamespace(ends=0.0),
            enable_overlap=True,
            reported=[],
        )
        FakeEvent.now = 0.0

    def run_batch(self, batch: Any) -> str:
        self.forward_stream.ends += batch.takes_s
        return "result"

    def computed(self, tokens: int, seconds: float) -> None:
        self.reported.append((tokens, seconds))


def batch(mode: Any = ForwardMode.EXTEND, waits_for: int = -1) -> Any:
    return SimpleNamespace(
        forward_mode=mode, hicache_consumer_index=waits_for, extend_num_tokens=100, takes_s=0.25
    )


def test_prefill_is_timed_on_the_device_once_it_ended() -> None:
    scheduler = PrefillScheduler()
    clock = PrefillClock(scheduler, scheduler)  # type: ignore[arg-type]
    assert scheduler.run_batch(batch()) == "result"
    clock.collect()
    assert scheduler.reported == [], "it is under way"
    FakeEvent.now = 9.0
    clock.collect()
    clock.collect()
    assert scheduler.reported == [(100, 0.25)]


def test_the_shortest_pass_is_what_a_pass_costs_at_the_least() -> None:
    scheduler = PrefillScheduler()
    clock = PrefillClock(scheduler, scheduler)  # type: ignore[arg-type]
    FakeEvent.now = 9.0
    assert clock.least_s == 0.0
    for takes_s, tokens in ((0.25, 100), (0.125, 100), (0.5, 100), (0.0625, 2 * LITTLE_TOKENS)):
        more = {"takes_s": takes_s, "extend_num_tokens": tokens}
        scheduler.run_batch(SimpleNamespace(**{**vars(batch()), **more}))
    clock.collect()
    assert clock.least_s == 0.125


def test_passes_that_wait_for_copies_or_decode_tell_nothing() -> None:
    scheduler = PrefillScheduler()
    clock = PrefillClock(scheduler, scheduler)  # type: ignore[arg-type]
    for other in (batch(ForwardMode.DECODE), batch(ForwardMode.MIXED), batch(waits_for=0)):
        assert scheduler.run_batch(other) == "result"
    FakeEvent.now = 9.0
    clock.collect()
    assert scheduler.reported == []


@pytest.mark.parametrize(
    ("mode", "slot"), [(ForwardMode.DECODE, NO_EVENT), (ForwardMode.EXTEND, 2)]
)
def test_a_decode_pass_waits_for_no_copy(mode: Any, slot: int) -> None:
    """What its batch's prefill waited for has arrived; the slot is another transfer's by then."""
    scheduler, passed = PrefillScheduler(), batch(mode, waits_for=2)
    wait_in_prefill_alone(scheduler)
    assert scheduler.run_batch(passed) == "result"
    assert passed.hicache_consumer_index == slot
