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

from deployments.calls import Call, Head
from deployments.delivery import Delivery
from deployments.metrics import IngressMetrics
from scalesim.errors import InvalidRequestError, ReplicaUnavailableError
from scalesim.headers import CachedTokens

HEAD = Head(200, "text/event-stream", CachedTokens(), "r0")
GONE = ActorUnavailableError("Actor is unavailable.", None)
"""What Serve makes of a connection that closed."""
STOPPED = AioRpcError(StatusCode.CANCELLED, Metadata(), Metadata())
"""A replica that stopped before the call was answered."""
NEVER_TAKEN = RuntimeError("Unexpected error (StatusCode.UNAVAILABLE): Socket closed.")
"""A stream that ended before the replica said that it takes it."""
SILENCE = "silence"


class FakeAnswer:
    """What a handle returns: yields what it is given, raises what is an error, may hang."""

    def __init__(self, *events: Any) -> None:
        self.cancelled = False
        self._events = iter(events)

    async def __anext__(self) -> Any:
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
        self.left = list(answers)
        self.answer = self.stream = self

    def options(self, *, stream: bool) -> FakeReplicas:
        return self

    def remote(self, call: Call) -> FakeAnswer:
        return self.left.pop(0)


def delivery(*answers: FakeAnswer, timeout_s: float = 60.0) -> Delivery:
    return Delivery(FakeReplicas(*answers), timeout_s, IngressMetrics())


def call(stream: bool) -> Call:
    return Call(1, "chat", {"stream": stream}, "salt")


def count(delivery: Delivery, name: str) -> float:
    lines = delivery._metrics.text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name}_total "))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [GONE, STOPPED, NEVER_TAKEN])
async def test_a_replica_that_dies_before_the_first_byte_loses_nothing(
    stream: bool, fault: Exception
) -> None:
    sent = delivery(FakeAnswer(fault), FakeAnswer((HEAD, b"first")))
    answer = await sent.begin(call(stream))
    assert (answer.head, answer.first) == (HEAD, b"first")
    assert count(sent, "scalesim_retried") == 1


async def test_a_call_that_every_replica_dies_of_ends() -> None:
    sent = delivery(*(FakeAnswer(GONE) for _ in range(3)))
    with pytest.raises(ReplicaUnavailableError, match="ActorUnavailableError"):
        await sent.begin(call(stream=False))
    assert count(sent, "scalesim_retried") == 2


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
        await delivery(busy).begin(call(stream=True))
    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert busy.cancelled


async def test_silence_ends_with_the_timeout_and_cancels() -> None:
    silent = FakeAnswer(SILENCE)
    with pytest.raises(ReplicaUnavailableError, match="TimeoutError"):
        await delivery(silent, timeout_s=0.001).begin(call(stream=False))
    assert silent.cancelled


async def test_an_error_of_the_replica_is_the_callers() -> None:
    with pytest.raises(InvalidRequestError, match="no such adapter"):
        await delivery(FakeAnswer(InvalidRequestError("no such adapter"))).begin(call(stream=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_what_has_not_begun(stream: bool) -> None:
    silent = FakeAnswer(SILENCE)
    waiting = asyncio.create_task(delivery(silent).begin(call(stream)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert silent.cancelled


async def test_a_stream_is_passed_on_and_its_tokens_are_told() -> None:
    tokens: list[int] = []
    pieces = FakeAnswer((HEAD, b"a"), b"b", 7)
    sent = delivery(pieces)
    answer = await sent.begin(call(stream=True))
    assert [piece async for piece in sent.relay(answer, tokens.append)] == [b"a", b"b"]
    assert tokens == [7]
    assert not pieces.cancelled


@pytest.mark.parametrize("fault", [GONE, STOPPED, ZeroDivisionError()])
async def test_a_stream_that_breaks_off_says_so(fault: Exception) -> None:
    tokens: list[int] = []
    sent = delivery(FakeAnswer((HEAD, b"a"), fault))
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
    sent = delivery(pieces)
    relayed = sent.relay(await sent.begin(call(stream=True)), lambda _: None)
    assert await anext(relayed) == b"a"
    await relayed.aclose()  # type: ignore[attr-defined]
    assert pieces.cancelled
