"""Lets copies of adapters to slots take time."""

from __future__ import annotations

from typing import Any

import torch

from scalesim.deployments.engine.emulation.copies import Copy, CopySource, WholeTensor
from scalesim.deployments.engine.emulation.device import Access, Device, StreamWork
from scalesim.deployments.engine.emulation.places import slot
from scalesim.deployments.engine.emulation.streams import current_stream
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed
from scalesim.vocabulary import ADAPTER


def watch_adapters(device: Device) -> None:
    """Let adapters take time to a slot."""
    from sglang.srt.lora import mem_pool

    pool = mem_pool.LoRAMemoryPool
    load, clear = pool.load_lora_weight_to_buffer, pool._clear_buffer_slot_for_base
    copy_weight = mem_pool.copy_weight_into_buffer
    written: list[torch.Tensor] = []

    def copy_noted(view: torch.Tensor, weight: torch.Tensor) -> None:
        copy_weight(view, weight)
        written.append(view)

    def load_late(self: Any, uid: Any, number: int, adapter: Any, *rest: Any) -> None:
        written.clear()
        load(self, uid, number, adapter, *rest)
        size = sum(view.nbytes for view in written)
        late = [Copy(f"adapter {uid}", WholeTensor(view)) for view in written if device.checked]
        sources = []
        if device.checked and adapter is not None:
            read = [weight for layer in adapter.layers for weight in layer.weights.values()]
            sources.append(CopySource(f"adapter {uid}", adapter, read))

        def arrive() -> None:
            for source in sources:
                source.check()
            for copy in late:
                copy.arrive()

        _put(device, f"the load of adapter {uid}", number, size, arrive)

    def clear_noted(self: Any, number: int) -> None:
        clear(self, number)
        _put(device, "the clearing of a slot", number, 0, None)

    mem_pool.copy_weight_into_buffer = copy_noted
    pool.load_lora_weight_to_buffer = load_late
    pool._clear_buffer_slot_for_base = clear_noted


def _put(device: Device, name: str, number: int, size: int, arrive: Any) -> None:
    moved = CopiedState(ADAPTER, size)
    seconds, on_link = 0.0, None
    if size:
        seconds = device.times.transfer_s(LinkSpeed.TO_DEVICE, moved)
        on_link = device.times.on_link(LinkSpeed.TO_DEVICE, moved)
    work = StreamWork(name, (), [Access(slot(number))], arrive, on_link)
    device.put(current_stream(), work, seconds)
