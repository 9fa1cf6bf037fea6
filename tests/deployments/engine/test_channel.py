"""Both ends of the socket, without an engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scalesim.deployments.engine.channel import GatherUntil, ReplicaEnd, SchedulerEnd
from scalesim.deployments.engine.messages import Message
from scalesim.vocabulary import TransferStats

Ends = tuple[ReplicaEnd, SchedulerEnd]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    address = f"ipc://{tmp_path}/channel"
    replica, scheduler = ReplicaEnd(address), SchedulerEnd(address)
    yield replica, scheduler
    scheduler.socket.close(0)
    replica.close()


async def test_what_came_is_gathered_in_order(ends: Ends) -> None:
    replica, scheduler = ends
    sent = [TransferStats("prefix", issued) for issued in range(3)]
    assert all(scheduler.send(transfer) for transfer in sent)
    received: list[object] = []
    while len(received) < len(sent):
        received += await replica.gather(GatherUntil(0.01), never)
    assert received == sent


async def test_who_is_told_to_wait_gathers_until_something_is_urgent(ends: Ends) -> None:
    replica, scheduler = ends
    wait = GatherUntil(0.001, until=time.monotonic() + 3600)
    gathering = asyncio.create_task(replica.gather(wait, lambda message: message.issued == 7))  # type: ignore[union-attr]
    assert scheduler.send(TransferStats("prefix", 1))
    await asyncio.wait([gathering], timeout=0.1)
    assert not gathering.done()
    assert scheduler.send(TransferStats("prefix", 7))
    async with asyncio.timeout(30):
        assert await gathering == [TransferStats("prefix", 1), TransferStats("prefix", 7)]


async def test_what_is_urgent_waits_for_its_own_time(ends: Ends) -> None:
    replica, scheduler = ends
    later = time.monotonic() + 0.2
    assert scheduler.send(TransferStats("prefix", 7))
    async with asyncio.timeout(30):
        await replica.gather(GatherUntil(0.001, later + 3600, later), lambda _: True)
    assert time.monotonic() >= later


def never(message: Message) -> bool:
    return False
