import asyncio

from scalesim.controller.runtime.notifier import Notifier


async def test_a_ring_wakes_those_who_wait_for_that_name() -> None:
    notifier = Notifier()
    mine = [asyncio.create_task(notifier.wait("mine", 60)) for _ in range(2)]
    other = asyncio.create_task(notifier.wait("other", 60))
    await asyncio.sleep(0)
    notifier.notify("mine")
    await asyncio.gather(*mine)
    assert not other.done()
    notifier.notify_all()
    await other


async def test_a_wait_ends_by_itself_and_leaves_nothing() -> None:
    notifier = Notifier()
    await notifier.wait("name", 0.001)
    assert not notifier.awaited
    notifier.notify("name")


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    notifier = Notifier()
    waiter = asyncio.create_task(notifier.wait("name", 60))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    assert waiter.cancelled()
    assert not notifier.awaited
