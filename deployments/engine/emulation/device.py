"""Work on streams: when it is done, what it waits for, and what must not happen beside it.

Which piece of work comes before which is kept as vector clocks: by stream, the number of its last
piece that is surely done. Two pieces that touch the same memory, one of them writing, and of which
neither comes before the other, are a race whatever the times are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any, NamedTuple

from scalesim.deployments.engine.emulation.device_clock import DeviceClock
from scalesim.deployments.engine.emulation.shared_link import SharedLink
from scalesim.deployments.engine.emulation.times import LinkSpeed, OnLink, Times
from scalesim.errors import ScaleSimError

WatchWork = Callable[[str, int, float, float], None]
"""Called with a piece of work, its stream's number, when it begins and when it ends."""

Seen = dict[int, int]
"""How many pieces of each stream's work come before, by the stream's number."""


class RaceError(ScaleSimError):
    """What a real device would have computed is undefined; on a GPU nothing would have shown it."""


class Access(NamedTuple):
    """Memory that a piece of work touches.

    Attributes:
        place: Which memory.
        rows: Which of its rows; None is all.
    """

    place: Hashable
    rows: frozenset[int] | None = None

    def meets(self, other: Access) -> bool:
        """Return whether both touch something."""
        if self.place != other.place:
            return False
        return self.rows is None or other.rows is None or not self.rows.isdisjoint(other.rows)


class StreamWork(NamedTuple):
    """A piece of work on a stream.

    Attributes:
        name: For people.
        reads: Memory.
        writes: Memory.
        arrive: Makes its effects visible; None where they are from the start.
        on_link: What of it travels on a link; see `Times.on_link`.
    """

    name: str
    reads: Sequence[Access] = ()
    writes: Sequence[Access] = ()
    arrive: Callable[[], None] | None = None
    on_link: OnLink | None = None


class _Placed(NamedTuple):
    stream: int
    number: int
    work: StreamWork


class Device:
    """Streams of one process and all work on them that is not yet known to be done.

    Args:
        times: How long things take.
        clock: What time it is.
        checked: Data arrive when their copy is done, and races are looked for; otherwise only
            time passes, which costs the processor a tenth.

    Attributes:
        current: The stream that work is put on.
        watch: Called with all work.
    """

    def __init__(self, times: Times, clock: DeviceClock, *, checked: bool = True) -> None:
        self.times = times
        self.clock = clock
        self.checked = checked
        self.watch: WatchWork | None = None
        self.current: Timeline | None = None
        self._numbers = count()
        self._streams: list[Timeline] = []
        self._known: Seen = {}
        self._under_way: list[_Placed] = []
        self._fault = ""
        self._links = {link: SharedLink() for link in LinkSpeed}

    def add(self, stream: Timeline) -> int:
        """Take in a stream and return its number."""
        self._streams.append(stream)
        return next(self._numbers)

    @property
    def known(self) -> Seen:
        """What the processor knows to be done: whatever it starts comes after that."""
        return self._known

    def fail(self, fault: str) -> None:
        """Raise on the scheduler's thread what another thread found."""
        self._fault = fault

    def put(self, stream: Timeline, work: StreamWork, seconds: float) -> None:
        """Put work on a stream, after all that is there.

        Raises:
            RaceError: It may run beside other work that it must not run beside.
        """
        if self._fault:
            raise RaceError(self._fault)
        if not self.checked:
            self.occupy(stream, seconds, work.name, work.on_link)
            return
        join(stream.seen, self._known)
        for other in self._under_way:
            if stream.seen.get(other.stream, 0) < other.number:
                _check(other.work, work)
        self.occupy(stream, seconds, work.name, work.on_link)
        number = stream.seen.get(stream.number, 0) + 1
        stream.seen[stream.number] = number
        self._under_way.append(_Placed(stream.number, number, work))

    def occupy(
        self, stream: Timeline, seconds: float, name: str, on_link: OnLink | None = None
    ) -> None:
        """Keep a stream busy, after all that is there, from when its link is free."""
        begin = max(stream.done_at, self.clock.now())
        if on_link is not None:
            link = self._links[on_link.link]
            begin = link.place(begin, on_link.seconds, self.clock.now())
        stream.done_at = begin + seconds
        stream.latest_s = seconds
        if self.watch is not None and seconds:
            self.watch(name, stream.number, begin, stream.done_at)

    def arrive(self, seen: Seen) -> None:
        """Make visible what comes before."""
        for place, (stream, number, work) in enumerate(self._under_way):
            if work.arrive is not None and number <= seen.get(stream, 0):
                self._under_way[place] = _Placed(stream, number, work._replace(arrive=None))
                work.arrive()

    def is_done(self, seen: Seen, done_at: float) -> bool:
        """Return whether work is done, which the processor then knows."""
        if self.clock.now() < done_at:
            return False
        self.arrive(seen)
        join(self._known, seen)
        self._under_way = [
            placed
            for placed in self._under_way
            if self._known.get(placed.stream, 0) < placed.number
        ]
        return True

    def wait(self, seen: Seen, done_at: float) -> None:
        """Let the processor wait for work."""
        self.clock.wait_until(done_at)
        self.is_done(seen, done_at)

    def wait_all(self) -> None:
        """Let the processor wait for everything."""
        for stream in self._streams:
            self.wait(stream.seen, stream.done_at)


class Timeline:
    """A queue of work.

    Args:
        device: Its device.

    Attributes:
        number: Distinguishes it.
        seen: What comes before the next piece of work put here.
        done_at: When the last piece is done.
        latest_s: How long the last piece takes.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.seen: Seen = {}
        self.done_at = 0.0
        self.latest_s = 0.0
        self.number = device.add(self)

    def follow(self, seen: Seen, done_at: float) -> None:
        """Let what is put here from now on begin after other work."""
        self._device.arrive(seen)
        join(self.seen, seen)
        self.done_at = max(self.done_at, done_at)


def join(seen: Seen, more: Seen) -> None:
    """Add to what comes before."""
    for stream, number in more.items():
        if seen.get(stream, 0) < number:
            seen[stream] = number


def _check(one: StreamWork, other: StreamWork) -> None:
    # What has not arrived is poison, and shows in what is made of it.
    written = one.writes if one.arrive is None else ()
    pairs: list[tuple[Any, Any]] = [
        (one.writes, other.writes),
        (written, other.reads),
        (one.reads, other.writes),
    ]
    for first, second in pairs:
        for a in first:
            for b in second:
                if a.meets(b):
                    raise RaceError(
                        f"{other.name} touches {_shared(a, b)} while {one.name} is under way: "
                        "expected one to wait for the other's event; let its stream or the "
                        "processor wait"
                    )


def _shared(a: Access, b: Access) -> str:
    if a.rows is None or b.rows is None:
        return str(a.place)
    return f"{a.place}, rows {sorted(a.rows & b.rows)[:4]}"
