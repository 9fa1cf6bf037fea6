"""Both ends of the socket, without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scalesim.deployments.engine.channel import ReplicaEnd, SchedulerEnd
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
        received += await replica.gather(0.01)
    assert received == sent
