import asyncio
import logging

import pytest

from scalesim.controller.runtime import background
from scalesim.controller.runtime.background import BackgroundLoop


async def test_a_crash_is_logged_and_counted_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "REST_S", 0.0)
    rounds = 0
    went_on = asyncio.Event()

    async def one_round() -> None:
        nonlocal rounds
        rounds += 1
        if rounds <= 2:
            raise ValueError("a bug")
        went_on.set()
        await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR):
        loop = BackgroundLoop("plan", one_round)
        await went_on.wait()
    await loop.stop()
    assert loop.status()["crashes"] == 2
    assert "The plan loop failed 2 times" in caplog.text
    assert "a bug" in caplog.text


async def test_a_loop_goes_round_until_stopped() -> None:
    rounds = asyncio.Queue[int]()

    async def one_round() -> None:
        await rounds.put(1)
        await asyncio.sleep(0)

    loop = BackgroundLoop("any", one_round)
    for _ in range(3):
        await rounds.get()
    await loop.stop()
    after = rounds.qsize()
    await asyncio.sleep(0)
    assert rounds.qsize() == after
    assert loop.status()["stalled_s"] >= 0


class LoopClock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    clock = LoopClock()
    monkeypatch.setattr(background, "time", clock)
    return clock


async def test_waiting_for_work_is_no_standstill_but_a_turn_that_hangs_is(clock: LoopClock) -> None:
    news = asyncio.Event()
    woken = asyncio.Event()

    async def one_round() -> None:
        await loop.until(news.wait())
        woken.set()
        await asyncio.Event().wait()

    loop = BackgroundLoop("any", one_round)
    await asyncio.sleep(0)
    clock.now += 60
    assert loop.status()["stalled_s"] == 0
    news.set()
    await woken.wait()
    assert loop.status()["stalled_s"] == 0
    clock.now += 60
    assert loop.status()["stalled_s"] == 60
    await loop.stop()


async def test_a_loop_that_only_crashes_or_has_ended_stands_still(
    clock: LoopClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "REST_S", 0.0)
    faults = asyncio.Queue[BaseException]()

    async def one_round() -> None:
        raise await faults.get()

    loop = BackgroundLoop("any", one_round)
    faults.put_nowait(ValueError("a bug"))
    while not loop.crashes:
        await asyncio.sleep(0)
    clock.now += 30
    assert loop.status()["stalled_s"] == 30
    faults.put_nowait(asyncio.CancelledError())
    (running,) = (task for task in asyncio.all_tasks() if task.get_name() == loop.name)
    await asyncio.wait([running])
    clock.now += 30
    assert loop.status() == {"crashes": 1, "stalled_s": 60}
    await loop.stop()


@pytest.mark.parametrize("hops", range(4))
async def test_a_turn_that_ends_as_it_is_cancelled_is_the_last(hops: int) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets a cancellation when what it waits for is done."""
    event = asyncio.Event()

    async def one_round() -> None:
        await asyncio.wait_for(event.wait(), 10.0)
        event.clear()

    loop = BackgroundLoop("plan", one_round)
    await asyncio.sleep(0)
    event.set()
    for _ in range(hops):
        await asyncio.sleep(0)
    async with asyncio.timeout(5.0):
        await loop.stop()
