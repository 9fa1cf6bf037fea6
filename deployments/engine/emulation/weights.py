"""Models on their way into an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scalesim.deployments.engine.emulation.copies import Copy, Whole
from scalesim.deployments.engine.emulation.device import Access, Device, StreamWork
from scalesim.deployments.engine.emulation.places import WEIGHTS
from scalesim.deployments.engine.emulation.streams import current_stream
from scalesim.deployments.engine.emulation.times import LinkSpeed


def watch_weights(device: Device) -> None:
    """Let new weights of the engine's model take time."""
    from sglang.srt.model_executor.model_runner_components.weight_updater import WeightUpdater

    update = WeightUpdater.update_weights_from_tensor

    def update_late(self: Any, tensors: Sequence[tuple[str, Any]], *args: Any) -> Any:
        device.arrive(current_stream().seen)  # of one model's buckets, the one before
        result = update(self, tensors, *args)
        copies = [Copy("a model", Whole(p)) for p in self.get_model().parameters()]

        def arrive() -> None:
            for copy in copies:
                copy.arrive()

        seconds = device.times.transfer_s(LinkSpeed.TO_DEVICE, sum(t.nbytes for _, t in tensors))
        work = StreamWork("the load of a model", (), [Access(WEIGHTS)], arrive)
        device.put(current_stream(), work, seconds)
        return result

    WeightUpdater.update_weights_from_tensor = update_late
