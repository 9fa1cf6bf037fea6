"""An idle scheduler sleeps until one of its sockets has something to read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from deployments.engine import boot
from deployments.engine.channel import ReplicaEnd, SchedulerEnd
from scalesim.vocabulary import Directives

WAIT_MS = 10_000

assert boot  # SGLang can be imported on a CPU only after it


async def test_directives_alone_wake_an_idle_scheduler(tmp_path: Path) -> None:
    from sglang.srt.managers.scheduler_components.idle_sleeper import IdleSleeper

    from deployments.engine.sglang.hooks import wake_on

    address = f"ipc://{tmp_path}/channel"
    replica, ours = ReplicaEnd(address), SchedulerEnd(address)
    sleeper = IdleSleeper([])
    try:
        wake_on(SimpleNamespace(idle_sleeper=sleeper), ours.socket, lambda: False)
        assert not sleeper.poller.poll(0)
        await replica.send(Directives(1, 1))
        assert sleeper.poller.poll(WAIT_MS)
        assert len(ours.receive()) == 1
        assert not sleeper.poller.poll(0)
    finally:
        ours.socket.close(0)
        replica.close()
