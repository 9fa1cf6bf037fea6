"""All streams share a link: copies that overlap take as long as one after the other."""

from __future__ import annotations

import pytest

from scalesim.deployments.engine.emulation.device import Device, Timeline
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.gpu_times import GpuTimes
from scalesim.deployments.engine.emulation.shared_link import SharedLink
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed
from scalesim.settings import EmulationSettings
from scalesim.vocabulary import PREFIX

TIMES = GpuTimes(EmulationSettings.of("h100", 1.0))
MOVED = CopiedState(PREFIX, 0, 2048)
BYTES_S = 2048 * 131_072 / (64e9 * 0.78)


@pytest.fixture
def device() -> Device:
    return Device(TIMES, VirtualClock(), checked=False)


def copy(device: Device, stream: Timeline, link: LinkSpeed) -> float:
    device.occupy(stream, TIMES.transfer_s(link, MOVED), "a copy", TIMES.on_link(link, MOVED))
    return stream.done_at


def test_two_streams_copy_no_faster_than_one(device: Device) -> None:
    first = copy(device, Timeline(device), LinkSpeed.TO_DEVICE)
    assert copy(device, Timeline(device), LinkSpeed.TO_DEVICE) == pytest.approx(first + BYTES_S)


def test_the_other_direction_is_another_link(device: Device) -> None:
    copy(device, Timeline(device), LinkSpeed.TO_DEVICE)
    assert copy(device, Timeline(device), LinkSpeed.TO_HOST) < 1.1 * BYTES_S


def test_what_waits_for_its_own_stream_leaves_the_link_to_others(device: Device) -> None:
    late = Timeline(device)
    late.done_at = 1.0  # a pass is under way on it
    copy(device, late, LinkSpeed.TO_DEVICE)
    assert copy(device, Timeline(device), LinkSpeed.TO_DEVICE) < 1.1 * BYTES_S


def test_copies_take_the_gaps_that_hold_them() -> None:
    link = SharedLink()
    assert link.place(0.0, 1.0, 0.0) == 0.0
    assert link.place(2.0, 1.0, 0.0) == 2.0
    assert link.place(0.5, 1.0, 0.0) == 1.0
    assert link.place(0.0, 0.5, 0.0) == 3.0
    assert link.place(10.0, 1.0, 9.0) == 10.0
    assert link.place(9.0, 1.5, 9.0) == 11.0
