from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np

from scalesim.deployments.controller_link import GATHER_S, URGENT_SHARE, Link
from scalesim.deployments.engine.channel import GatherUntil
from scalesim.deployments.engine.messages import Hello, Message
from scalesim.errors import ControllerUnavailableError
from scalesim.vocabulary import (
    Budgets,
    Directives,
    ReplicaInfo,
    ReplicaUpdate,
    Residency,
    TransferStats,
)

HELLO = Hello(("prefix", "adapter"), (Budgets(1000, 2000, 0), Budgets(50, 60, 0)), 10)


def rows() -> Residency:
    column = np.ones(1, np.int64)
    return Residency("prefix", column, column, column, column, column, np.ones(1, np.bool_))


class LinkedController:
    def __init__(self, incarnation: int = 5) -> None:
        self.incarnation = incarnation
        self.attached: list[ReplicaInfo] = []
        self.detached: list[str] = []
        self.heard: list[tuple[int, ReplicaUpdate]] = []
        self.acked: list[int] = []
        self.answers: asyncio.Queue[Directives | Exception | None] = asyncio.Queue()

    async def attach(self, info: ReplicaInfo) -> int:
        self.attached.append(info)
        return self.incarnation

    async def poll(self, replica: str, incarnation: int, acked: int) -> Directives | None:
        self.acked.append(acked)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def update(self, replica: str, incarnation: int, update: ReplicaUpdate) -> float:
        self.heard.append((incarnation, update))
        return 100.0

    async def detach(self, replica: str) -> None:
        self.detached.append(replica)


class FakeChannel:
    def __init__(self) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.update: asyncio.Queue[list[Message]] = asyncio.Queue()
        self.waits: list[GatherUntil] = []
        self.is_urgent: Callable[[Message], bool] = lambda _: False

    async def send(self, message: Message) -> None:
        await self.sent.put(message)

    async def gather(
        self, wait: GatherUntil, is_urgent: Callable[[Message], bool]
    ) -> list[Message]:
        self.waits.append(wait)
        self.is_urgent = is_urgent
        return await self.update.get()


async def test_attaching_reserves_room_and_asks_the_engine_for_everything() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, reserve_share=0.1)
    assert await channel.sent.get() == Directives(5, 0, resync=True)
    assert controller.attached[0].budgets == Budgets(950, 1860, 0)
    assert controller.attached[0].kind_budgets == (Budgets(900, 1800, 0), Budgets(50, 60, 0))
    await link.stop()
    assert controller.detached == ["r1"]


async def test_directives_are_handed_down_once_and_acknowledged() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, 0.1)
    await channel.sent.get()
    for answer in (Directives(5, 1), Directives(5, 1), None, Directives(5, 2)):
        controller.answers.put_nowait(answer)
    assert [(await channel.sent.get()).sequence for _ in range(2)] == [1, 2]
    while controller.acked[-1] != 2:
        await asyncio.sleep(0)
    await link.stop()
    assert channel.sent.empty()


async def test_a_new_controller_is_attached_to_again() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, 0.1)
    await channel.sent.get()
    controller.incarnation = 6
    controller.answers.put_nowait(Directives(6, 0, resync=True))
    assert await channel.sent.get() == Directives(6, 0, resync=True)
    assert controller.attached[1].seen_incarnation == 6
    await link.stop()


async def test_an_older_controller_is_refused_until_a_newer_one_answers() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, 0.1)
    await channel.sent.get()
    controller.answers.put_nowait(Directives(4, 9))
    while link.loops[0].crashes == 0:
        await asyncio.sleep(0)
    assert channel.sent.empty()
    assert await channel.sent.get() == Directives(5, 0, resync=True)
    await link.stop()


async def test_an_absent_controller_is_tried_again() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, 0.1)
    await channel.sent.get()
    controller.answers.put_nowait(ControllerUnavailableError("away"))
    assert await channel.sent.get() == Directives(5, 0, resync=True)
    await link.stop()


async def test_what_came_together_goes_up_together_under_the_current_incarnation() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, 0.1)
    await channel.sent.get()
    update = (rows(), TransferStats("prefix"))
    channel.update.put_nowait([HELLO])
    channel.update.put_nowait(list(update))
    while not controller.heard:
        await asyncio.sleep(0)
    assert controller.heard == [(5, update)]
    await link.stop()


async def test_the_controller_says_how_long_the_next_update_gathers() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, 0.1)
    await channel.sent.get()
    began = time.monotonic()
    channel.update.put_nowait([rows()])
    while len(channel.waits) < 2:
        await asyncio.sleep(0)
    assert channel.waits[0] == GatherUntil(GATHER_S)
    assert channel.waits[1].until >= began + 100.0
    assert began + 100.0 * URGENT_SHARE <= channel.waits[1].urgent_until < channel.waits[1].until
    await link.stop()


async def test_it_is_urgent_that_who_acts_soon_was_evicted_and_only_once() -> None:
    channel = FakeChannel()
    link = Link("r1", LinkedController(), channel, HELLO, 0.1)
    await channel.sent.get()
    while not channel.waits:
        await asyncio.sleep(0)
    evicted = TransferStats("prefix", evicted_by_pressure=5, evicted_near=2)
    assert not channel.is_urgent(rows())
    assert not channel.is_urgent(evicted._replace(evicted_near=0))
    assert [channel.is_urgent(evicted), channel.is_urgent(evicted)] == [True, False]
    assert channel.is_urgent(evicted._replace(kind="adapter"))
    await link.stop()


async def test_a_replica_that_starts_waits_until_it_is_known() -> None:
    controller, channel = LinkedController(), FakeChannel()
    link = Link("r1", controller, channel, HELLO, reserve_share=0.1)
    assert controller.attached == []
    await link.attached(within_s=60.0)
    assert [info.name for info in controller.attached] == ["r1"]
    await link.stop()


async def test_without_a_controller_it_starts_too() -> None:
    class AwayController(LinkedController):
        async def attach(self, info: ReplicaInfo) -> int:
            raise ControllerUnavailableError("away")

    link = Link("r1", AwayController(), FakeChannel(), HELLO, reserve_share=0.1)
    async with asyncio.timeout(60.0):
        await link.attached(within_s=0.01)
    await link.stop()
