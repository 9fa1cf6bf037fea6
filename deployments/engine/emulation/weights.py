"""Lets swaps of an engine's model take time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scalesim.deployments.engine.emulation.copies import Copy, WholeTensor
from scalesim.deployments.engine.emulation.device import Access, Device, StreamWork
from scalesim.deployments.engine.emulation.places import WEIGHTS
from scalesim.deployments.engine.emulation.streams import current_stream
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed
from scalesim.vocabulary import MODEL


def watch_weights(device: Device) -> None:
    """Let new weights of the engine's model take time."""
    from sglang.srt.model_executor.model_runner_components.weight_updater import WeightUpdater

    update = WeightUpdater.update_weights_from_tensor

    def update_late(self: Any, tensors: Sequence[tuple[str, Any]], *args: Any) -> Any:
        device.arrive(current_stream().seen)  # of one model's buckets, the one before
        result = update(self, tensors, *args)
        weights = list(self.get_model().parameters())
        late = [Copy("a model", WholeTensor(each)) for each in weights if device.checked]

        def arrive() -> None:
            for copy in late:
                copy.arrive()

        size = sum(tensor.nbytes for _, tensor in tensors)
        part = size / sum(each.nbytes for each in weights)
        moved = CopiedState(MODEL, size, part)
        seconds = device.times.transfer_s(LinkSpeed.TO_DEVICE, moved)
        on_link = device.times.on_link(LinkSpeed.TO_DEVICE, moved)
        work = StreamWork("the load of a model", (), [Access(WEIGHTS)], arrive, on_link)
        device.put(current_stream(), work, seconds)
        return result

    WeightUpdater.update_weights_from_tensor = update_late
