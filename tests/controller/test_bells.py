import asyncio

from scalesim.controller.bells import Bells


async def test_a_ring_wakes_those_who_wait_for_that_name() -> None:
    bells = Bells()
    mine = [asyncio.create_task(bells.wait("mine", 60)) for _ in range(2)]
    other = asyncio.create_task(bells.wait("other", 60))
    await asyncio.sleep(0)
    bells.ring("mine")
    await asyncio.gather(*mine)
    assert not other.done()
    bells.ring_all()
    await other


async def test_a_wait_ends_by_itself_and_leaves_nothing() -> None:
    bells = Bells()
    await bells.wait("name", 0.001)
    assert not bells._waiting
    bells.ring("name")


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    bells = Bells()
    waiter = asyncio.create_task(bells.wait("name", 60))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    assert waiter.cancelled()
    assert not bells._waiting
