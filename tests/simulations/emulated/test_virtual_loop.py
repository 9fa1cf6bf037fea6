"""Tasks on a virtual clock: they wait by it, not by the machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.simulations.emulated.virtual_loop import VirtualLoop

PASS_S = 0.5


def passes(loop: VirtualLoop, clock: VirtualClock, main: Coroutine[Any, Any, None]) -> int:
    count = 0
    for _ in loop.script(main, lambda: None):
        clock.advance(PASS_S)
        count += 1
    return count


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_a_day_of_sleep_takes_none(clock: VirtualClock) -> None:
    loop = VirtualLoop(clock)
    woke: list[float] = []

    async def sleeps(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woke.append(loop.time())

    async def main() -> None:
        await asyncio.gather(sleeps(86_400.0), sleeps(1.0))

    passes(loop, clock, main())
    assert woke == [1.0, 86_400.0]
    loop.close()


def test_all_that_can_go_on_does_so_before_the_next_pass(clock: VirtualClock) -> None:
    loop = VirtualLoop(clock)

    async def main() -> None:
        for _ in range(100):
            await asyncio.create_task(asyncio.sleep(0))

    assert passes(loop, clock, main()) == 1
    loop.close()


def test_a_timeout_is_of_the_clock(clock: VirtualClock) -> None:
    loop = VirtualLoop(clock)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 10 * PASS_S)

    assert passes(loop, clock, main()) == pytest.approx(10, abs=1)
    loop.close()


def test_what_is_raised_ends_the_script(clock: VirtualClock) -> None:
    loop = VirtualLoop(clock)

    async def main() -> None:
        raise KeyError("of the World")

    with pytest.raises(KeyError, match="of the World"):
        passes(loop, clock, main())
    loop.close()
