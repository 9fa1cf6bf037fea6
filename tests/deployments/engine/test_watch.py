"""How the loss of an engine is noticed, and what is reported of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest

from scalesim.deployments.engine.crash_report import reporting_to, worked_on
from scalesim.deployments.engine.watch import PROBE_S, EngineFault, EngineWatch, by_request

# Engines of other tests took the tracker of this process with them.
pytestmark = pytest.mark.filterwarnings("ignore:resource_tracker. process died:UserWarning")

SPAWN = multiprocessing.get_context("spawn")
DEADLINE_S = 60.0


@pytest.fixture
def process() -> Iterator[Any]:
    process = SPAWN.Process(target=time.sleep, args=(DEADLINE_S,), daemon=True)
    process.start()
    yield process
    process.kill()
    process.join()
    process.close()


async def well(timeout_s: float) -> bool:
    await asyncio.sleep(0.01)
    return True


async def silent(timeout_s: float) -> bool:
    return False


async def fault_of(*args: Any) -> EngineFault:
    return await asyncio.wait_for(EngineWatch(*args).fault(), DEADLINE_S)


@pytest.mark.parametrize(
    ("number", "from_outside"),
    [(signal.SIGKILL, True), (signal.SIGTERM, True), (signal.SIGSEGV, False)],
)
async def test_a_process_that_ends_is_a_fault(
    process: Any, tmp_path: Path, number: signal.Signals, from_outside: bool
) -> None:
    noticing = asyncio.create_task(fault_of({"scheduler": process}, well, tmp_path / "none"))
    await asyncio.sleep(0)
    os.kill(process.pid, number)
    fault = await noticing
    assert (fault.by_request, fault.named) == (not from_outside, frozenset())
    assert fault.reason == f"its scheduler ended ({number.name})"


def test_an_exit_nobody_asked_for_is_its_own() -> None:
    assert by_request(0)
    assert by_request(1)
    assert not by_request(-signal.SIGHUP)


async def test_one_silent_probe_is_a_fault_of_its_own(process: Any, tmp_path: Path) -> None:
    fault = await fault_of({"scheduler": process}, silent, tmp_path / "none")
    assert (fault.by_request, "silent for 20 s (by itself)" in fault.reason) == (True, True)


class Denied:
    """Others have the processors for this share of every time that is looked at."""

    def __init__(self, share: float, asked: list[float]) -> None:
        self._share, self._asked = share, asked

    def __call__(self, pids: Collection[int]) -> Any:
        begun = sum(self._asked)
        return SimpleNamespace(seconds=lambda: self._share * (sum(self._asked) - begun))


@pytest.mark.parametrize(
    ("share", "silent_s", "by_itself"), [(0.0, 20, True), (0.5, 38, True), (0.99, 120, False)]
)
async def test_time_that_others_have_the_processors_is_not_the_engines(
    process: Any, tmp_path: Path, share: float, silent_s: float, by_itself: bool
) -> None:
    asked: list[float] = []

    async def silent_for_long(timeout_s: float) -> bool:
        asked.append(timeout_s)
        return False

    parts = ({"scheduler": process}, silent_for_long, tmp_path / "none", lambda _: None)
    fault = await fault_of(*parts, Denied(share, asked))
    assert fault.by_request is by_itself
    assert silent_s <= sum(asked) < silent_s + PROBE_S


async def test_an_engine_that_answers_once_it_may_run_is_not_lost(
    process: Any, tmp_path: Path
) -> None:
    asked: list[float] = []
    looked = asyncio.Event()

    async def slow(timeout_s: float) -> bool:
        asked.append(timeout_s)
        if sum(asked) > 3 * PROBE_S:
            looked.set()
            await asyncio.sleep(DEADLINE_S)
        return False

    parts = ({"scheduler": process}, slow, tmp_path / "none", lambda _: None)
    watching = asyncio.create_task(fault_of(*parts, Denied(0.9, asked)))
    await asyncio.wait_for(looked.wait(), DEADLINE_S)
    assert not watching.done()
    watching.cancel()


async def test_silence_of_a_stopped_process_is_from_outside(process: Any, tmp_path: Path) -> None:
    os.kill(process.pid, signal.SIGSTOP)

    async def silent_once_stopped(timeout_s: float) -> bool:
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0)
        return False

    fault = await fault_of({"scheduler": process}, silent_once_stopped, tmp_path / "none")
    assert (fault.by_request, "scheduler stopped" in fault.reason) == (False, True)


async def test_what_a_crashing_scheduler_wrote_is_read(process: Any, tmp_path: Path) -> None:
    path = tmp_path / "last-words"
    path.write_bytes(msgspec.json.encode(["r1"]))
    fault = await fault_of({"scheduler": process}, well, path)
    assert fault == EngineFault("its scheduler crashed", True, frozenset({"r1"}))


async def test_probes_are_timed(process: Any, tmp_path: Path) -> None:
    took: list[float] = []
    await fault_of({"scheduler": process}, silent, tmp_path / "none", took.append)
    assert len(took) == 1


class WatchedRequest:
    def __init__(self, rid: str) -> None:
        self.rid = rid

    def fail(self) -> None:
        raise ZeroDivisionError


class WatchedBatch:
    def __init__(self, *rids: str) -> None:
        self.reqs = [WatchedRequest(rid) for rid in rids]


def forward(batch: WatchedBatch) -> None:
    logits = [1]
    logits[len(batch.reqs)]


def step(batch: WatchedBatch, one_only: bool) -> None:
    for request in batch.reqs:
        if one_only:
            request.fail()
    forward(batch)


def caught(work: Any, *args: Any) -> list[str]:
    with pytest.raises((ZeroDivisionError, IndexError)) as error:
        work(*args)
    return worked_on(error.value.__traceback__)


def test_the_request_that_failed_is_named_where_one_did() -> None:
    assert caught(step, WatchedBatch("b", "a"), True) == ["b"]


def test_the_batch_is_named_where_it_failed_as_one() -> None:
    assert caught(step, WatchedBatch("b", "a"), False) == ["a", "b"]


def test_nothing_is_named_where_nothing_was_worked_on() -> None:
    assert caught(lambda: 1 / 0) == []


def test_last_words_are_written_whole_and_the_error_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "last-words"
    reporting_to(path, lambda: None)
    assert not path.exists()
    with pytest.raises(ZeroDivisionError):
        reporting_to(path, lambda: step(WatchedBatch("a"), True))
    assert msgspec.json.decode(path.read_bytes()) == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["last-words"]
