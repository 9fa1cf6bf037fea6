"""Which replicas are asked, and what becomes of what is in those that fall silent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scalesim.deployments import rotation as module
from scalesim.deployments import stack
from scalesim.deployments.calls import Call
from scalesim.deployments.engine import watch
from scalesim.deployments.rotation import Rotation

NAMES = ("a", "b")


class ProbedReplica:
    """A replica's process, that answers, hangs or is gone."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def get_queue_len(self, *, deadline_s: float) -> int:
        self.asked += 1
        await self.answers.wait()
        if self.fault is not None:
            raise self.fault
        return 0


class RotationResult:
    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
async def replicas(monkeypatch: pytest.MonkeyPatch) -> dict[str, ProbedReplica]:
    monkeypatch.setattr(module, "ASK_PERIOD_S", 0.01)
    monkeypatch.setattr(module, "SILENT_S", 0.05)
    return {name: ProbedReplica() for name in NAMES}


@pytest.fixture
def rotation(replicas: dict[str, ProbedReplica]) -> Rotation:
    rotation = Rotation()
    rotation.running(replicas)
    return rotation


def call() -> Call:
    return Call(1, "chat", {}, "salt")


async def until(rotation: Rotation, names: list[str]) -> None:
    async with asyncio.timeout(10):
        while rotation.usable(NAMES) != names:
            await rotation.ask()


async def test_a_silent_replica_is_out_until_it_answers(
    rotation: Rotation, replicas: dict[str, ProbedReplica]
) -> None:
    replicas["a"].answers.clear()
    await until(rotation, ["b"])
    replicas["a"].answers.set()
    await until(rotation, ["a", "b"])


async def test_one_that_cannot_be_reached_is_out_at_once(
    rotation: Rotation, replicas: dict[str, ProbedReplica]
) -> None:
    replicas["b"].fault = ConnectionError()
    await until(rotation, ["a"])


async def test_one_that_is_doubted_is_out_at_once_and_back_once_it_answers(
    rotation: Rotation, replicas: dict[str, ProbedReplica]
) -> None:
    replicas["a"].answers.clear()
    rotation.doubt("a")
    rotation.doubt("of another time")
    assert (rotation.usable(NAMES), len(rotation)) == (["b"], 1)
    await asyncio.sleep(0)
    assert replicas["a"].asked == 1  # without waiting for its turn
    replicas["a"].answers.set()
    async with asyncio.timeout(10):
        while len(rotation) < 2:
            await asyncio.sleep(0)


async def test_what_is_in_one_that_is_doubted_is_left_in_it(rotation: Rotation) -> None:
    attempt = rotation.begin(call())
    rotation.sent(attempt.call, "a", RotationResult())
    rotation.doubt("a")
    assert not attempt.moved


async def test_a_replica_is_asked_one_question_at_a_time(
    rotation: Rotation, replicas: dict[str, ProbedReplica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 60.0)
    replicas["a"].answers.clear()
    for _ in range(5):
        await rotation.ask()
    assert (replicas["a"].asked, replicas["b"].asked) == (1, 5)
    replicas["a"].answers.set()


async def test_a_lost_replica_never_comes_back(rotation: Rotation) -> None:
    rotation.lose("a")
    for _ in range(3):
        await rotation.ask()
    assert rotation.usable(NAMES) == ["b"]
    rotation.running({"b": ProbedReplica(), "c": ProbedReplica()})
    rotation.running({"a": ProbedReplica()})
    assert rotation.usable(["a"]) == ["a"]  # of that name, another


def test_one_that_is_taken_out_while_it_is_well_has_left(
    replicas: dict[str, ProbedReplica],
) -> None:
    rotation = Rotation(clock=lambda: 0.0)
    rotation.running(replicas)
    rotation.running({"b": replicas["b"]})
    assert [rotation.left(name) for name in ("a", "b", "")] == [True, False, False]


@pytest.mark.parametrize("fault", ["lose", "silent"])
def test_one_that_is_taken_out_for_its_fault_has_not(
    replicas: dict[str, ProbedReplica], fault: str
) -> None:
    rotation = Rotation()
    rotation.running(replicas)
    getattr(rotation, fault)("a")
    rotation.running({"b": replicas["b"]})
    assert not rotation.left("a")


async def test_one_that_serve_finds_to_hang_first_has_not(
    replicas: dict[str, ProbedReplica],
) -> None:
    times = [0.0]
    rotation = Rotation(clock=lambda: times[-1])
    rotation.running(replicas)
    replicas["a"].answers.clear()
    times.append(module.SILENT_S)
    await rotation.ask()
    rotation.running({})
    assert [rotation.left(name) for name in NAMES] == [False, True]


async def test_one_that_was_cut_off_is_not_dead(
    rotation: Rotation, replicas: dict[str, ProbedReplica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 60.0)
    replicas["a"].fault = ConnectionError()
    rotation.doubt("a")
    died = asyncio.create_task(rotation.died(NAMES))
    async with asyncio.timeout(10):
        while replicas["a"].asked < 2:
            await asyncio.sleep(0)
    assert not died.done()
    replicas["a"].fault = None
    assert await died == set()


async def test_one_that_serve_takes_out_is_dead_unless_it_was_well(
    replicas: dict[str, ProbedReplica],
) -> None:
    rotation = Rotation(clock=lambda: 0.0)
    rotation.running(replicas)
    replicas["a"].fault = ConnectionError()
    rotation.doubt("a")
    died = asyncio.create_task(rotation.died(NAMES))
    async with asyncio.timeout(10):
        while not replicas["a"].asked:
            await asyncio.sleep(0)
    rotation.running({})
    assert await died == {"a"}
    assert await rotation.died(["never heard of"]) == {"never heard of"}


async def test_one_that_hangs_is_as_good_as_dead(
    rotation: Rotation, replicas: dict[str, ProbedReplica]
) -> None:
    replicas["a"].answers.clear()
    assert await rotation.died(["a"]) == {"a"}


async def test_an_answer_to_what_was_asked_before_says_nothing(
    rotation: Rotation, replicas: dict[str, ProbedReplica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 60.0)
    replicas["a"].answers.clear()
    rotation.doubt("a")
    await asyncio.sleep(0)
    died = asyncio.create_task(rotation.died(["a"]))
    await asyncio.sleep(0)
    replicas["a"].answers.set()
    assert await died == set()
    assert replicas["a"].asked == 2


def test_what_is_not_known_cannot_be_lost(rotation: Rotation) -> None:
    rotation.lose("")
    assert rotation.usable(NAMES) == list(NAMES)


async def test_only_what_waits_for_the_silent_one_moves(rotation: Rotation) -> None:
    waits, stays, begun, ended = (rotation.begin(call()) for _ in range(4))
    results: dict[Any, RotationResult] = {}
    for attempt, name in ((waits, "a"), (stays, "b"), (begun, "a"), (ended, "a")):
        results[attempt] = RotationResult()
        rotation.sent(attempt.call, name, results[attempt])
    rotation.end(ended)

    async def wait() -> None:
        async with asyncio.timeout(60) as waits.deadline:
            rotation.silent("a")
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()
    moved = {attempt for attempt in (waits, stays, begun, ended) if attempt.moved}
    assert moved == {waits, begun}
    assert [results[each].cancelled for each in (waits, stays, begun, ended)] == [0, 0, 1, 0]


async def test_a_try_is_cancelled_everywhere_it_was_sent(rotation: Rotation) -> None:
    attempt = rotation.begin(call())
    attempt.response = RotationResult()
    results = [RotationResult(), RotationResult()]
    for name, result in zip(NAMES, results, strict=True):
        rotation.sent(attempt.call, name, result)
    attempt.cancel()
    assert [each.cancelled for each in (attempt.response, *results)] == [1, 1, 1]
    assert attempt.replica == "b"
    rotation.end(attempt)
    rotation.end(attempt)
    assert not rotation.is_open(attempt)


def test_what_hangs_is_out_within_25_seconds() -> None:
    assert watch.PROBE_PERIOD_S + watch.PROBE_S + watch.LOOK_S < 25
    assert module.ASK_PERIOD_S + module.SILENT_S < 25
    assert stack.HEALTH_PERIOD_S * 1.1 + 3 * stack.HEALTH_TIMEOUT_S < 25
