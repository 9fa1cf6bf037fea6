"""Threads that go on between passes, and queues that hand out late."""

from __future__ import annotations

import threading
from queue import Empty
from types import ModuleType
from typing import Any

import pytest

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.threads import LateQueue, LateThreads


class Worker:
    """A loop as HiCache's storage threads have one."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.threads = LateThreads(self.clock)
        self.queue: LateQueue = self.threads.queue(lambda seconds: seconds)
        self.done: list[float] = []
        self.stopped = False
        module: Any = ModuleType("of SGLang")
        self.threads.take(module)
        self.thread = module.threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while not self.stopped or not self.queue.empty():
            try:
                item = self.queue.get(block=True, timeout=1)
            except Empty:
                continue
            if item is not None:
                self.done.append(item)

    def go_on(self, seconds: float = 0.0) -> list[float]:
        self.clock.advance(seconds)
        self.threads.go_on()
        return self.done


def test_work_is_done_when_its_time_is_over_one_after_the_other() -> None:
    worker = Worker()
    worker.queue.put(1.0)
    worker.queue.put(2.0)
    assert worker.go_on(0.9) == []
    assert worker.go_on(0.2) == [1.0]
    assert worker.go_on(1.8) == [1.0]  # it began when the other was done
    assert worker.go_on(0.2) == [1.0, 2.0]
    assert worker.thread.is_alive()


def test_nobody_waits_for_a_queue_with_nothing_due() -> None:
    queue = Worker().queue
    queue.put(1.0)
    with pytest.raises(Empty):
        queue.get_nowait()
    assert queue.qsize() == 1


def test_who_joins_a_thread_finds_its_work_done() -> None:
    worker = Worker()
    worker.queue.put(5.0)
    worker.stopped = True
    worker.queue.put(None)
    worker.thread.join(timeout=10)
    assert not worker.thread.is_alive()
    assert worker.done == [5.0]
    worker.go_on(10.0)


def test_a_thread_that_returns_has_ended() -> None:
    worker = Worker()
    worker.stopped = True
    worker.go_on()
    assert not worker.thread.is_alive()


def test_the_rest_of_the_module_is_as_it_was() -> None:
    module: Any = ModuleType("of SGLang")
    LateThreads(VirtualClock()).take(module)
    assert module.threading.Lock is threading.Lock
    assert module.threading.Thread is not threading.Thread
