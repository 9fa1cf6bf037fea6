"""A scheduler's work for requests moves the virtual clock."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.gpu_times import processor_times
from scalesim.deployments.engine.emulation.processor_times import watch_processor
from scalesim.settings import EmulationSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sglang.srt.managers.schedule_policy import PrefillAdder

assert boot


def test_a_scheduler_s_work_for_requests_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SimpleNamespace(checkpoint_into_tree=lambda request: f"{request} is in the tree")
    monkeypatch.setattr(PrefillAdder, "add_one_req", lambda adder, request: f"{request} fits")
    settings = EmulationSettings(gpu="h100", calibration={"admission_s": 2.0, "insertion_s": 3.0})
    clock = VirtualClock()
    watch_processor(cache, clock, processor_times(settings))
    assert PrefillAdder.add_one_req(None, "one") == "one fits"
    assert clock.now() == 2.0
    assert cache.checkpoint_into_tree("one") == "one is in the tree"
    assert clock.now() == 5.0
