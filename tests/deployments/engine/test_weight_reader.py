"""Weights written into an engine over a device whose time only its work moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from scalesim.deployments.engine.sglang import weight_reader
from scalesim.deployments.engine.sglang.weight_reader import write


class SwapDevice:
    """A pass is under way; each bucket takes a quarter of a second behind it."""

    def __init__(self) -> None:
        device = self
        self.now = self.pass_ends = 0.0

        class SwapEvent:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing

            def record(self, stream: Any) -> None:
                self.at = max(device.now, device.pass_ends)

            def elapsed_time(self, end: SwapEvent) -> float:
                return 1000 * (end.at - self.at)

        self.Event = SwapEvent

    def current_stream(self) -> None:
        return None

    def synchronize(self) -> None:
        self.now = max(self.now, self.pass_ends)

    def update(self, bucket: Any) -> tuple[bool, str]:
        self.now += 0.25
        return True, ""


def test_a_swap_takes_what_its_copies_take(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SwapDevice()
    device.pass_ends = 9.0
    monkeypatch.setattr(weight_reader.torch, "get_device_module", lambda: device)
    monkeypatch.setattr(weight_reader, "BUCKET_BYTES", 16)
    updater = SimpleNamespace(
        begin_weight_update=lambda: None,
        update_weights_from_tensor=device.update,
        end_weight_update=lambda *, run_post_load: None,
    )
    weights = [(str(number), torch.zeros(4)) for number in range(3)]
    assert write(weights, updater) == 3 * 0.25
