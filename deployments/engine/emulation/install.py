"""Puts the device under SGLang in a scheduler process, once, before its scheduler is made."""

from __future__ import annotations

import os

import torch

from scalesim.deployments.engine import cpu
from scalesim.deployments.engine.emulation import streams
from scalesim.deployments.engine.emulation.copies import Copy
from scalesim.deployments.engine.emulation.device import Access, Device, StreamWork
from scalesim.deployments.engine.emulation.device_clock import DeviceClock
from scalesim.deployments.engine.emulation.forward_passes import watch_passes
from scalesim.deployments.engine.emulation.places import DEVICE_KV, HOST_KV, pages
from scalesim.deployments.engine.emulation.slot_copies import watch_adapters
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed, Times
from scalesim.deployments.engine.emulation.weights import watch_weights
from scalesim.deployments.engine.sglang import pool_rows
from scalesim.deployments.engine.sglang.pool_rows import RowCopies
from scalesim.errors import ConfigurationError
from scalesim.vocabulary import PREFIX


def install(times: Times, clock: DeviceClock, *, checked: bool = True) -> Device:
    """Patch SGLang for a CPU and replace its streams, events and copies by the emulated device's.

    Args:
        times: How long things take.
        clock: What time it is.
        checked: See `Device`.

    Returns:
        The device; storage is the caller's to watch.

    Raises:
        ConfigurationError: There is a real one.
    """
    if torch.cuda.is_available():
        raise ConfigurationError(
            "a device cannot be emulated beside a real one: leave engine.emulation out, or hide "
            "the GPU (CUDA_VISIBLE_DEVICES=)"
        )
    os.environ["SGLANG_ENABLE_WAR_BARRIER"] = "1"  # as it is on CUDA
    if not checked:  # a look through all memory in every one of thousands of idle passes
        os.environ["SGLANG_ENABLE_STRICT_MEM_CHECK_DURING_IDLE"] = "false"
    device = streams.OnDevice.device = Device(times, clock, checked=checked)
    for name, face in streams.FACE.items():
        setattr(torch.cpu, name, face)
    watch_passes(device)
    watch_adapters(device)
    watch_weights(device)
    cpu.patch_host_tier(lambda copies: _copy_rows(device, copies))
    return device


def _copy_rows(device: Device, copies: RowCopies) -> None:
    """Start copies of KV rows on the current stream."""
    name = "a load" if copies.to_device else "a backup"
    link = LinkSpeed.TO_DEVICE if copies.to_device else LinkSpeed.TO_HOST
    tokens = len(copies.device_rows)
    if not device.checked:
        pool_rows.copy_now(copies)
        moved = CopiedState(PREFIX, 0, tokens, copies.layers)
        seconds = device.times.transfer_s(link, moved)
        device.occupy(streams.current_stream(), seconds, name, device.times.on_link(link, moved))
        return
    started = [Copy(name, target, source) for source, target in copies.pairs]
    here = Access(DEVICE_KV, pages(copies.device_rows, copies.page_size))
    there = Access(HOST_KV, pages(copies.host_rows, copies.page_size))
    source, target = (there, here) if copies.to_device else (here, there)
    moved = CopiedState(PREFIX, sum(copy.size for copy in started), tokens, copies.layers)
    seconds = device.times.transfer_s(link, moved)

    def arrive() -> None:
        for copy in started:
            copy.arrive()

    work = StreamWork(name, [source], [target], arrive, device.times.on_link(link, moved))
    device.put(streams.current_stream(), work, seconds)
