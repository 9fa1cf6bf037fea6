"""Calls to replicas that die, refuse, hang or break off, and clients that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorUnavailableError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from scalesim.deployments.calls import AnswerEnd, AnswerHeader, Call
from scalesim.deployments.ingress_metrics import IngressMetrics
from scalesim.deployments.replica_client import ReplicaClient
from scalesim.deployments.rotation import Rotation
from scalesim.deployments.suspects import EngineLostError, Suspects, Suspicion
from scalesim.errors import InvalidRequestError, ReplicaUnavailableError, SuspectRequestError
from scalesim.headers import CachedTokens

HEAD = AnswerHeader(200, "text/event-stream", CachedTokens(), "r0")
GONE = ActorUnavailableError("Actor is unavailable.", None)
"""What Serve makes of a connection that closed."""
STOPPED = AioRpcError(StatusCode.CANCELLED, Metadata(), Metadata())
"""A replica that stopped before the call was answered."""
NEVER_TAKEN = RuntimeError("Unexpected error (StatusCode.UNAVAILABLE): Socket closed.")
"""A stream that ended before the replica said that it takes it."""
TURNED_AWAY = RuntimeError("Unexpected error (StatusCode.CANCELLED): .")
"""A stream that came when the replica, about to go, took no more."""
SILENCE = "silence"


class FakeAnswer:
    """What a handle returns: yields what it is given, raises what is an error, may hang."""

    def __init__(self, *events: Any) -> None:
        self.cancelled = False
        self._events = iter(events)

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        event = next(self._events, None)
        if event is None:
            raise StopAsyncIteration
        if event is SILENCE:
            await asyncio.Event().wait()
        if isinstance(event, Exception):
            raise event
        return event

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __await__(self) -> Any:
        return self.__anext__().__await__()

    def cancel(self) -> None:
        self.cancelled = True


class FakeReplicas:
    """A deployment's handle, with one answer for each call."""

    def __init__(self, *answers: FakeAnswer) -> None:
        self.rotation = Rotation()
        self.results: list[FakeAnswer] = []
        self.left = list(answers)
        self.answer = self.stream = self
        self.calls: list[Call] = []

    def options(self, **_: Any) -> FakeReplicas:
        return self

    def remote(self, call: Call) -> FakeAnswer:
        answer = self.left.pop(0)
        self.calls.append(call)
        self.results.append(FakeAnswer())
        self.rotation.sent(call, f"r{len(self.left)}", self.results[-1])
        return answer


async def alone() -> None:
    """There is no other process to tell."""


class FakedClient(ReplicaClient):
    """The client with all that it was given."""

    def __init__(self, replicas: FakeReplicas, timeout_s: float = 60.0) -> None:
        self.metrics, self.suspects, self.rotation = IngressMetrics(), Suspects(), replicas.rotation
        super().__init__(replicas, timeout_s, self.metrics, self.suspects, alone, replicas.rotation)


def replica_client(*answers: FakeAnswer, timeout_s: float = 60.0) -> FakedClient:
    return FakedClient(FakeReplicas(*answers), timeout_s)


def call(stream: bool) -> Call:
    return Call(1, "chat", {"stream": stream}, "salt")


def count(replica_client: FakedClient, name: str) -> float:
    (family,) = (one for one in replica_client.metrics.families() if one.name == name)
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


def in_rotation(replica_client: FakedClient) -> float:
    families = replica_client.metrics.families()
    (family,) = (one for one in families if one.name == "scalesim_ingress_replicas")
    return family.samples[0].value


class ReplicaProcess:
    """A replica's, when it is asked whether it is there."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()

    async def get_queue_len(self, *, deadline_s: float) -> int:
        await self.answers.wait()
        return 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [GONE, STOPPED, NEVER_TAKEN])
async def test_a_replica_that_dies_before_the_first_byte_loses_nothing(
    stream: bool, fault: Exception
) -> None:
    sent = replica_client(FakeAnswer(fault), FakeAnswer((HEAD, b"first")))
    process = ReplicaProcess()
    sent.rotation.running({"r0": process, "r1": process})
    answer = await sent.begin(call(stream))
    assert (answer.head, answer.first) == (HEAD, b"first")
    assert count(sent, "scalesim_retried") == 1
    assert in_rotation(sent) == 1
    process.answers.set()  # it is there after all
    async with asyncio.timeout(10):
        while in_rotation(sent) < 2:
            await asyncio.sleep(0)


async def test_a_call_that_two_replicas_vanish_with_is_refused_from_then_on() -> None:
    sent = replica_client(*(FakeAnswer(GONE) for _ in range(2)))
    for _ in range(2):
        with pytest.raises(SuspectRequestError, match="not tried on another"):
            await sent.begin(call(stream=False))
    assert count(sent, "scalesim_retried") == 1


async def test_a_call_whose_streams_two_replicas_died_of_is_refused() -> None:
    sent = replica_client(*(FakeAnswer((HEAD, b"a"), GONE) for _ in range(2)))
    for _ in range(2):
        answer = await sent.begin(call(stream=True))
        [piece async for piece in sent.relay(answer, lambda _: None)]
    with pytest.raises(SuspectRequestError):
        await sent.begin(call(stream=True))


async def test_a_call_that_was_cut_off_from_two_replicas_is_tried_again_once_they_answer() -> None:
    sent = replica_client(FakeAnswer(GONE), FakeAnswer(GONE), FakeAnswer((HEAD, b"first")))
    process = ReplicaProcess()
    sent.rotation.running(dict.fromkeys(("r0", "r1", "r2"), process))
    answer = asyncio.create_task(sent.begin(call(stream=False)))
    async with asyncio.timeout(10):
        while in_rotation(sent) > 1:
            await asyncio.sleep(0)
    assert not answer.done()
    process.answers.set()
    assert (await answer).first == b"first"
    assert len(sent.suspects) == 0


async def test_an_equal_call_that_is_answered_meanwhile_clears_it() -> None:
    sent = replica_client(FakeAnswer(GONE), FakeAnswer(GONE), FakeAnswer((HEAD, b"first")))
    sent.rotation.running(dict.fromkeys(("r0", "r1", "r2"), ReplicaProcess()))
    answer = asyncio.create_task(sent.begin(call(stream=False)))
    async with asyncio.timeout(10):
        while in_rotation(sent) > 1:
            await asyncio.sleep(0)
    sent.suspects.answered(call(stream=False))
    sent.rotation.running({})
    async with asyncio.timeout(10):  # and not for the questions that nobody answers
        assert (await answer).first == b"first"


async def test_what_became_of_replicas_is_waited_for_no_longer_than_an_answer() -> None:
    sent = replica_client(FakeAnswer(GONE), FakeAnswer(GONE), timeout_s=0.01)
    sent.rotation.running(dict.fromkeys(("r0", "r1"), ReplicaProcess()))
    with pytest.raises(ReplicaUnavailableError, match="do not answer"):
        await sent.begin(call(stream=False))
    assert len(sent.suspects) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_replicas_that_leave_with_a_call_are_not_counted(stream: bool) -> None:
    """As where fewer are wanted, and what is in them takes longer than they are given."""
    gone = [FakeAnswer(GONE) for _ in range(4)]
    sent = replica_client(*gone, FakeAnswer((HEAD, b"first")))
    stays = {"r0": ReplicaProcess()}
    sent.rotation.running(stays | {f"r{n}": ReplicaProcess() for n in range(1, 5)})
    sent.rotation.running(stays)
    assert (await sent.begin(call(stream))).first == b"first"
    assert len(sent.suspects) == 0


async def test_replicas_that_leave_with_its_streams_do_not_make_a_call_a_suspect() -> None:
    sent = replica_client(*(FakeAnswer((HEAD, b"a"), GONE) for _ in range(2)))
    sent.rotation.running({"r0": ReplicaProcess(), "r1": ReplicaProcess()})
    sent.rotation.running({})
    for _ in range(2):
        answer = await sent.begin(call(stream=True))
        assert b"broke off" in [piece async for piece in sent.relay(answer, lambda _: None)][-1]
    assert len(sent.suspects) == 0


async def test_replicas_that_turn_a_call_away_do_not_make_it_a_suspect() -> None:
    sent = replica_client(*(FakeAnswer(TURNED_AWAY) for _ in range(2)), FakeAnswer((HEAD, b"a")))
    assert (await sent.begin(call(stream=True))).first == b"a"


async def test_replicas_that_vanish_between_answers_are_not_added_up() -> None:
    answers = [each for _ in range(3) for each in (FakeAnswer(GONE), FakeAnswer((HEAD, b"first")))]
    sent = replica_client(*answers)
    for _ in range(3):
        assert (await sent.begin(call(stream=False))).first == b"first"


async def test_a_stream_is_answered_once_it_has_ended() -> None:
    broken, whole = (HEAD, b"a"), FakeAnswer((HEAD, b"a"), AnswerEnd(b"b", 7))
    sent = replica_client(FakeAnswer(broken, GONE), whole, FakeAnswer(broken, GONE))
    for remembered in (1, 0, 1):
        answer = await sent.begin(call(stream=True))
        [piece async for piece in sent.relay(answer, lambda _: None)]
        assert len(sent.suspects) == remembered


def lost(verdict: Suspicion) -> FakeAnswer:
    return FakeAnswer(EngineLostError("its scheduler crashed", verdict))


async def test_the_cause_of_a_loss_costs_one_engine() -> None:
    sent = replica_client(lost(Suspicion.CAUSE))
    for stream in (False, True):
        with pytest.raises(SuspectRequestError) as caught:
            await sent.begin(call(stream))
        assert (caught.value.status, caught.value.retryable) == (422, False)


async def test_the_innocent_are_tried_on_three_engines_and_then_asked_to_come_again() -> None:
    sent = replica_client(
        *(lost(Suspicion.INNOCENT) for _ in range(5)), FakeAnswer((HEAD, b"first"))
    )
    with pytest.raises(ReplicaUnavailableError, match="EngineLostError"):
        await sent.begin(call(stream=False))
    assert (await sent.begin(call(stream=False))).first == b"first"


async def test_those_under_suspicion_are_tried_again_as_such_until_they_are_answered() -> None:
    losses = [lost(Suspicion.POSSIBLE), lost(Suspicion.INNOCENT)]
    replicas = FakeReplicas(*losses, FakeAnswer((HEAD, b"first")))
    sent = FakedClient(replicas)
    assert (await sent.begin(call(stream=False))).first == b"first"
    # The second was lost with another one, before its own turn came.
    assert [each.under_suspicion for each in replicas.calls] == [False, True, True]
    assert len(sent.suspects) == 0


async def test_an_own_runtime_error_of_a_replica_is_no_loss() -> None:
    sent = replica_client(FakeAnswer(RuntimeError("boom")), FakeAnswer((HEAD, b"never")))
    with pytest.raises(RuntimeError, match="boom"):
        await sent.begin(call(stream=False))
    assert count(sent, "scalesim_retried") == 0


async def test_what_waits_for_a_silent_replica_moves_on() -> None:
    silent = FakeAnswer(SILENCE)
    sent = replica_client(silent, FakeAnswer((HEAD, b"first")))
    waiting = asyncio.create_task(sent.begin(call(stream=True)))
    await asyncio.sleep(0)
    sent.rotation.silent("r1")
    answer = await waiting
    assert (answer.first, silent.cancelled) == (b"first", True)


async def test_what_has_begun_on_a_silent_replica_breaks_off() -> None:
    pieces = FakeAnswer((HEAD, b"a"), SILENCE)
    sent = replica_client(pieces)
    await sent.begin(call(stream=True))
    sent.rotation.silent("r0")
    assert pieces.cancelled


async def test_an_answer_that_was_assigned_but_not_awaited_is_cancelled_too() -> None:
    replicas = FakeReplicas(FakeAnswer(SILENCE))
    sent = FakedClient(replicas)
    waiting = asyncio.create_task(sent.begin(call(stream=False)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [result.cancelled for result in replicas.results] == [True]


@pytest.mark.parametrize(
    "fault",
    [
        BackPressureError(num_queued_requests=9, max_queued_requests=9),
        DeploymentUnavailableError(DeploymentID("Replica", "scalesim")),
    ],
)
async def test_what_no_replica_takes_is_refused_at_once(fault: Exception) -> None:
    busy = FakeAnswer(fault)
    with pytest.raises(ReplicaUnavailableError, match="try again") as caught:
        await replica_client(busy).begin(call(stream=True))
    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert busy.cancelled


async def test_silence_ends_with_the_timeout_and_cancels() -> None:
    silent = FakeAnswer(SILENCE)
    with pytest.raises(ReplicaUnavailableError, match="TimeoutError"):
        await replica_client(silent, timeout_s=0.001).begin(call(stream=False))
    assert silent.cancelled


async def test_an_error_of_the_replica_is_the_callers() -> None:
    with pytest.raises(InvalidRequestError, match="no such adapter"):
        await replica_client(FakeAnswer(InvalidRequestError("no such adapter"))).begin(
            call(stream=True)
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_what_has_not_begun(stream: bool) -> None:
    silent = FakeAnswer(SILENCE)
    waiting = asyncio.create_task(replica_client(silent).begin(call(stream)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert silent.cancelled


async def test_a_stream_is_passed_on_and_its_tokens_are_counted() -> None:
    tokens: list[int] = []
    pieces = FakeAnswer((HEAD, b"a"), b"b", AnswerEnd(b"c", 7))
    sent = replica_client(pieces)
    answer = await sent.begin(call(stream=True))
    assert [piece async for piece in sent.relay(answer, tokens.append)] == [b"a", b"b", b"c"]
    assert tokens == [7]
    assert not pieces.cancelled


@pytest.mark.parametrize("fault", [GONE, STOPPED, ZeroDivisionError()])
async def test_a_stream_that_breaks_off_says_so(fault: Exception) -> None:
    tokens: list[int] = []
    sent = replica_client(FakeAnswer((HEAD, b"a"), fault))
    answer = await sent.begin(call(stream=True))
    *_, last = [piece async for piece in sent.relay(answer, tokens.append)]
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["code"], "send the request again" in error["message"]) == (
        "replica_unavailable",
        True,
    )
    assert count(sent, "scalesim_streams_broken") == 1
    assert tokens == []


async def test_a_client_that_leaves_a_stream_cancels_it() -> None:
    pieces = FakeAnswer((HEAD, b"a"), SILENCE)
    sent = replica_client(pieces)
    answer = await sent.begin(call(stream=True))
    relayed = sent.relay(answer, lambda _: None)
    assert await anext(relayed) == b"a"
    sent.close(answer)
    assert pieces.cancelled


async def test_a_client_that_leaves_before_the_first_piece_is_passed_on_cancels() -> None:
    pieces = FakeAnswer((HEAD, b"a"), SILENCE)
    sent = replica_client(pieces)
    answer = await sent.begin(call(stream=True))
    sent.relay(answer, lambda _: None)  # never begun
    sent.close(answer)
    assert pieces.cancelled


async def test_a_stream_that_came_to_its_end_is_not_cancelled() -> None:
    pieces = FakeAnswer((HEAD, b"a"), AnswerEnd(b"b", 7))
    sent = replica_client(pieces)
    answer = await sent.begin(call(stream=True))
    assert [piece async for piece in sent.relay(answer, lambda _: None)] == [b"a", b"b"]
    sent.close(answer)
    assert not pieces.cancelled
