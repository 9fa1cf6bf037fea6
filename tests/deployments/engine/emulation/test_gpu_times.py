"""Times of a named GPU against the roofline worked out by hand."""

from __future__ import annotations

import pytest

from scalesim.deployments.engine.emulation.device import Device
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.forward_passes import Pass
from scalesim.deployments.engine.emulation.gpu_times import COPY_S, GpuTimes, times_of
from scalesim.deployments.engine.emulation.streams import Event, OnDevice, Stream
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed, PassWork, SetTimes
from scalesim.errors import ConfigurationError
from scalesim.settings import EmulationSettings
from scalesim.vocabulary import ADAPTER, MODEL, PREFIX

# An H100 (3.35 TB/s, 989 TFLOPS, PCIe 5.0 x16) with Llama-3.1-8B (8.03 B parameters, bf16).
READ_PER_S = 3.35e12 * 0.6
FLOPS = 989e12 * 0.5
LINK = 64e9 * 0.78
WEIGHTS = 16.06e9
TOKEN = 131_072


def h100(**more: object) -> GpuTimes:
    return GpuTimes(EmulationSettings.of("h100:llama-3.1-8b", 1.0).model_copy(update=more))


def test_a_decode_pass_reads_all_weights_and_its_context() -> None:
    seconds = h100().forward_s(PassWork(0, 20, 20 * 2048, 20 * 2048))
    assert seconds == pytest.approx((WEIGHTS + 20 * 2048 * TOKEN) / READ_PER_S, rel=0.01)


def test_a_prefill_pass_computes_its_tokens_and_their_attention() -> None:
    seconds = h100().forward_s(PassWork(8192, 0, 8192, 8192 * 8192 // 2))
    attention = 4 * 32 * 4096 * 8192**2 / 2
    assert seconds == pytest.approx((2 * 8.03e9 * 8192 + attention) / FLOPS, rel=0.01)
    assert h100().forward_s(PassWork(16, 0, 16, 128)) == pytest.approx(
        WEIGHTS / READ_PER_S, rel=0.01
    )


def test_a_transfer_takes_its_bytes_and_a_start_for_each_layer() -> None:
    times = h100()
    layer = times.transfer_s(LinkSpeed.TO_DEVICE, CopiedState(PREFIX, 0, 2048, 1 / 32))
    assert 32 * layer == pytest.approx(2048 * TOKEN / LINK + 32 * COPY_S)
    assert 32 * layer == pytest.approx(5.4e-3, rel=0.07)  # 2.6 us a token
    whole = times.transfer_s(LinkSpeed.TO_HOST, CopiedState(PREFIX, 0, 2048))
    assert whole == pytest.approx(2048 * TOKEN / LINK + COPY_S)
    adapter = times.transfer_s(LinkSpeed.TO_DEVICE, CopiedState(ADAPTER, 1))
    assert adapter == pytest.approx(336e6 / LINK + 32 * 14 * COPY_S)
    part = times.transfer_s(LinkSpeed.TO_DEVICE, CopiedState(MODEL, 1, 0.5, 1.0))
    assert part == pytest.approx(WEIGHTS / 2 / LINK, rel=0.01)


def test_everything_takes_as_much_longer_as_time_is_dilated() -> None:
    work, moved = PassWork(100, 0, 500, 40_000), CopiedState(PREFIX, 0, 512, 0.5)
    slow = h100(dilate=8.0)
    assert slow.forward_s(work) == pytest.approx(8 * h100().forward_s(work))
    for link in LinkSpeed:
        assert slow.transfer_s(link, moved) == pytest.approx(8 * h100().transfer_s(link, moved))


def test_measured_values_take_the_place_of_assumed_ones() -> None:
    times = h100(calibration={"link_share": 0.39})
    slow = times.transfer_s(LinkSpeed.TO_HOST, CopiedState(PREFIX, 0, 2048))
    assert slow == pytest.approx(2048 * TOKEN / (LINK / 2) + COPY_S)


@pytest.mark.parametrize("named", ["h1000", "h100:llama-9"])
def test_what_is_not_known_is_refused_with_the_choices(named: str) -> None:
    with pytest.raises(ConfigurationError, match="choose one of"):
        times_of(EmulationSettings.of(named, 1.0))


def test_no_gpu_is_times_set_one_by_one() -> None:
    assert isinstance(times_of(EmulationSettings()), SetTimes)


@pytest.mark.parametrize(("load_s", "pass_s"), [(8.0, 2.0), (2.0, 8.0), (4.0, 4.0)])
def test_one_layer_that_stands_for_many_overlaps_as_they_would(
    monkeypatch: pytest.MonkeyPatch, load_s: float, pass_s: float
) -> None:
    device = Device(h100(), VirtualClock(), checked=False)
    monkeypatch.setattr(OnDevice, "device", device, raising=False)

    def run(layers: int, finer: float) -> float:
        loads, stream = Stream(), Stream()
        events = []
        for _ in range(layers):
            device.occupy(loads, load_s / layers, "a load")
            events.append(Event())
            events[-1].record(loads)
        one = Pass(stream, pass_s, layers, 0.0, finer)
        for layer, event in enumerate(events):
            one.reach(layer)
            one.load(event)
        one.end()
        return stream.done_at

    assert run(1, 32.0) == pytest.approx(run(32, 1.0), rel=1e-6)
    assert run(4, 8.0) == pytest.approx(run(32, 1.0), rel=1e-6)


def test_a_prefill_pass_takes_what_its_kernels_take_to_launch() -> None:
    launched = h100(calibration={"launch_s": 0.027}, dilate=2.0)
    assert launched.launch_s(PassWork(64, 0, 1024, 60_000)) == pytest.approx(0.054)
    assert launched.launch_s(PassWork(0, 20, 20_000, 20_000)) == 0.0
    assert h100().launch_s(PassWork(64, 0, 1024, 60_000)) == 0.0


@pytest.mark.parametrize(("arrives_s", "done_s"), [(0.0, 8.0), (100.0, 102.0 - 2.0 * 31 / 32)])
def test_kernels_are_launched_while_what_they_read_arrives(
    monkeypatch: pytest.MonkeyPatch, arrives_s: float, done_s: float
) -> None:
    device = Device(h100(), VirtualClock(), checked=False)
    monkeypatch.setattr(OnDevice, "device", device, raising=False)
    loads, stream = Stream(), Stream()
    one = Pass(stream, 2.0, 32, 0.0, launch_s=8.0)
    for layer in range(32):
        device.occupy(loads, arrives_s / 32, "a load")
        arrived = Event()
        arrived.record(loads)
        one.reach(layer)
        one.load(arrived)
    one.end()
    assert stream.done_at == pytest.approx(done_s)
