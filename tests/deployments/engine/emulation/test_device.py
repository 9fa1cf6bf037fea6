"""Streams, events and late copies, without an engine."""

from __future__ import annotations

import pytest
import torch

from scalesim.deployments.engine.emulation import streams
from scalesim.deployments.engine.emulation.copies import Copy, CopySource, WholeTensor
from scalesim.deployments.engine.emulation.device import Access, Device, RaceError, StreamWork
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.forward_passes import Pass
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed, SetTimes
from scalesim.deployments.engine.emulation.times import PassWork as Computed
from scalesim.deployments.engine.sglang.pool_rows import PoolRows
from scalesim.settings import EmulationSettings
from scalesim.vocabulary import PREFIX

KV = "kv"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device(SetTimes(EmulationSettings()), VirtualClock())
    monkeypatch.setattr(streams.OnDevice, "device", made, raising=False)
    return made


def put(
    device: Device,
    stream: streams.Stream,
    seconds: float = 1.0,
    *,
    reads: set[int] | None = None,
    writes: set[int] | None = None,
    copy: Copy | None = None,
) -> None:
    accesses = [
        [Access(KV, frozenset(rows))] if rows is not None else [] for rows in (reads, writes)
    ]
    device.put(
        stream, StreamWork("it", *accesses, copy.arrive if copy is not None else None), seconds
    )


def rows(tensor: torch.Tensor, *numbers: int) -> PoolRows:
    return PoolRows(tensor, (torch.tensor(numbers),))


def test_work_on_one_stream_is_done_one_after_the_other(device: Device) -> None:
    stream = streams.Stream()
    put(device, stream)
    first = stream.record_event()
    put(device, stream, 2.0)
    second = stream.record_event()
    assert not first.query()
    device.clock.advance(1.0)
    assert first.query()
    assert not second.query()
    second.synchronize()
    assert device.clock.now() == 3.0
    assert first.elapsed_time(second) == 2000.0


def test_streams_run_beside_each_other_until_one_waits(device: Device) -> None:
    one, other = streams.Stream(), streams.Stream()
    put(device, one, 3.0)
    put(device, other, 1.0)
    assert other.done_at == 1.0
    other.wait_stream(one)
    put(device, other, 1.0)
    assert other.done_at == 4.0


def test_an_event_that_was_never_recorded_is_done(device: Device) -> None:
    assert streams.Event().query()


def test_events_are_recorded_on_the_current_stream(device: Device) -> None:
    stream = streams.Stream()
    before = streams.current_stream()
    with streams.StreamContext(stream):
        put(device, streams.current_stream(), 5.0)
        event = streams.Event(enable_timing=True)
        event.record()
    assert streams.current_stream() is before
    assert event.done_at == 5.0


@pytest.mark.parametrize("how", ["query", "synchronize", "wait_event", "wait_stream", "all"])
def test_data_arrive_when_their_event_is_done(device: Device, how: str) -> None:
    stream, reader = streams.Stream(), streams.Stream()
    source, target = torch.arange(8.0), torch.zeros(8)
    put(device, stream, copy=Copy("it", rows(target, 1, 2), rows(source, 5, 6)))
    event = stream.record_event()
    assert not event.query()
    assert target[1:3].isnan().all()
    assert target[0] == 0.0
    match how:
        case "query":
            device.clock.advance(1.0)
            assert target[1:3].isnan().all()  # nobody knows yet
            assert event.query()
        case "synchronize":
            event.synchronize()
        case "wait_event":
            reader.wait_event(event)
            assert not event.query()  # the processor does not know, and reader may read
        case "wait_stream":
            reader.wait_stream(stream)
        case "all":
            streams.synchronize()
    assert target[1:3].tolist() == [5.0, 6.0]


def test_an_earlier_event_brings_earlier_data_only(device: Device) -> None:
    stream = streams.Stream()
    source, target = torch.arange(8.0), torch.zeros(8)
    events = []
    for row in (1, 2):
        put(device, stream, copy=Copy("it", rows(target, row), rows(source, row)))
        events.append(stream.record_event())
    streams.Stream().wait_event(events[0])
    assert target[1] == 1.0
    assert target[2].isnan()


def test_what_an_event_waited_for_comes_with_it(device: Device) -> None:
    first, second, third = (streams.Stream() for _ in range(3))
    source, target = torch.arange(4.0), torch.zeros(4)
    put(device, first, copy=Copy("it", WholeTensor(target), WholeTensor(source)))
    second.wait_stream(first)
    third.wait_event(second.record_event())
    assert target.tolist() == source.tolist()


def test_a_source_that_is_written_meanwhile_is_noticed(device: Device) -> None:
    stream = streams.Stream()
    source, target = torch.arange(4.0), torch.zeros(4)
    put(device, stream, copy=Copy("a backup", WholeTensor(target), WholeTensor(source)))
    source[2] = 9.0
    with pytest.raises(RaceError, match="source of a backup was written"):
        stream.synchronize()


class HostWeights:
    """Whose memory is copied."""

    def __init__(self) -> None:
        self.tensor = torch.arange(4.0)


def test_a_source_that_is_freed_meanwhile_is_noticed() -> None:
    weights = HostWeights()
    source = CopySource("an adapter", weights, [weights.tensor])
    source.check()
    weights.tensor[1] = 7.0
    with pytest.raises(RaceError, match="source of an adapter was written"):
        source.check()
    weights.tensor[1] = 1.0
    source.check()
    del weights
    with pytest.raises(RaceError, match="source of an adapter was freed"):
        source.check()


def test_a_target_that_is_written_meanwhile_is_noticed(device: Device) -> None:
    stream = streams.Stream()
    source, target = torch.arange(4.0), torch.zeros(4)
    put(device, stream, copy=Copy("a load", WholeTensor(target), WholeTensor(source)))
    target[2] = 9.0
    with pytest.raises(RaceError, match="target of a load was written"):
        stream.synchronize()


@pytest.mark.parametrize(
    ("first", "second", "races"),
    [
        ({"reads": {1, 2}}, {"writes": {2}}, True),
        ({"writes": {2}}, {"reads": {1, 2}}, True),
        ({"writes": {2}}, {"writes": {2}}, True),
        ({"reads": {2}}, {"reads": {2}}, False),
        ({"writes": {1}}, {"writes": {2}}, False),
    ],
)
def test_two_streams_may_not_write_what_the_other_touches(
    device: Device, first: dict, second: dict, races: bool
) -> None:
    one, other = streams.Stream(), streams.Stream()
    put(device, one, **first)
    if races:
        with pytest.raises(RaceError, match="kv, rows \\[2\\]"):
            put(device, other, **second)
    else:
        put(device, other, **second)


@pytest.mark.parametrize("how", ["stream", "event", "processor"])
def test_who_waits_does_not_race(device: Device, how: str) -> None:
    one, other = streams.Stream(), streams.Stream()
    put(device, one, writes={2})
    event = one.record_event()
    match how:
        case "stream":
            other.wait_stream(one)
        case "event":
            other.wait_event(event)
        case "processor":
            event.synchronize()
    put(device, other, writes={2})


def test_time_that_has_passed_is_no_order(device: Device) -> None:
    one, other = streams.Stream(), streams.Stream()
    put(device, one, writes={2})
    device.clock.advance(100.0)
    with pytest.raises(RaceError):
        put(device, other, writes={2})


def test_who_reads_too_early_reads_poison(device: Device) -> None:
    one, early, late = streams.Stream(), streams.Stream(), streams.Stream()
    target = torch.zeros(4)
    put(device, one, writes={2}, copy=Copy("it", WholeTensor(target), WholeTensor(torch.ones(4))))
    put(device, early, reads={2})
    assert target.isnan().all()
    late.wait_stream(one)
    with pytest.raises(RaceError, match="under way"):
        put(device, early, reads={2})  # there by chance: it was another stream that waited


def test_what_another_thread_found_is_raised(device: Device) -> None:
    device.fail("storage read what was written")
    with pytest.raises(RaceError, match="storage"):
        put(device, streams.Stream())


def test_a_pass_waits_for_each_layer_when_it_gets_there(device: Device) -> None:
    loads, stream = streams.Stream(), streams.Stream()
    events = []
    for _ in range(4):
        put(device, loads, 1.0)
        events.append(loads.record_event())
    running = Pass(stream, seconds=8.0, layers=4, now=0.0)
    for layer, event in enumerate(events):
        running.reach(layer)
        stream.wait_event(event)
    running.end()
    assert stream.done_at == 9.0  # the first layer waited, the others were there in time


def test_times_are_of_the_link_and_the_work() -> None:
    settings = EmulationSettings(
        to_device_bytes_per_s=100.0,
        to_host_bytes_per_s=50.0,
        storage_bytes_per_s=10.0,
        transfer_s=0.5,
        pass_s=1.0,
        prefill_token_s=0.1,
    )
    times = SetTimes(settings)
    assert [times.transfer_s(link, CopiedState(PREFIX, 100)) for link in LinkSpeed] == [
        1.5,
        2.5,
        10.5,
    ]
    assert times.forward_s(Computed(20, 0, 20)) == pytest.approx(3.0)
