"""Hands calls to replicas and brings their answers back, whatever becomes of the replica."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from grpc.aio import AioRpcError
from ray.exceptions import RayActorError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RequestCancelledError,
)

from scalesim.deployments.calls import AnswerEnd, AnswerHeader, Call
from scalesim.deployments.error_responses import body_of
from scalesim.deployments.ingress_metrics import IngressMetrics
from scalesim.deployments.rotation import ROTATION, Attempt, Rotation
from scalesim.deployments.suspects import EngineLostError, RetryDecision, Suspects, Suspicion
from scalesim.errors import ReplicaUnavailableError, ScaleSimError

_logger = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Replicas a request is tried on when they are lost from outside before its first byte; those that
left because fewer are wanted are not counted."""

_GONE = (RayActorError, AioRpcError)
"""What a call over gRPC ends with when its replica does: Serve makes a closed connection an
`ActorUnavailableError` and leaves other ends of a call as they are."""

_NEVER_TAKEN = "Unexpected error (StatusCode."
"""How the RuntimeError begins that Serve raises for a stream which ended before the replica said
that it takes it. Replicas raise none: what fails in them comes as an error of ours."""

_TURNED_AWAY = "Unexpected error (StatusCode.CANCELLED)"
"""How it begins where the replica, about to go, took no more: nothing in it has seen the call."""

_PLAIN = {"request_serialization": "pickle", "response_serialization": "pickle"}
"""Serve's default looks for functions and classes to send along, in every piece of a stream; what
goes between ingress and replica are values of modules that both have."""

_NAMED_EVENTS = ("messages", "responses")
"""Endpoints whose streams name each event."""


class ReplicaAnswer(NamedTuple):
    """An answer that has begun.

    Attributes:
        head: Status, headers, where the prompt was found.
        first: First bytes of the body; all of it where it is not a stream.
        attempt: What the rest of a stream comes by.
    """

    head: AnswerHeader
    first: bytes
    attempt: Attempt


class _Lost(NamedTuple):
    """A try that was lost with its replica before anything of the answer was sent."""

    verdict: Suspicion
    replica: str
    fault: Exception


class ReplicaClient:
    """The replicas as the ingress calls them.

    Args:
        replicas: Handle of the `Replica` deployment.
        timeout_s: Longest a request waits for its first piece.
        metrics: Counts what was lost.
        suspects: What is known of requests that were lost.
        spread: Waits until other processes of the ingress know it too.
        rotation: Which replicas there are; the router's.
    """

    def __init__(
        self,
        replicas: Any,
        timeout_s: float,
        metrics: IngressMetrics,
        suspects: Suspects,
        spread: Callable[[], Awaitable[None]],
        rotation: Rotation = ROTATION,
    ) -> None:
        # A handle for each method: making one takes longer than a call through it.
        plain = replicas.options(**_PLAIN)
        self._whole = plain.answer
        self._pieces = plain.options(stream=True).stream
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._rotation = rotation
        self._suspects = suspects
        self._spread = spread
        metrics.in_rotation.set_function(lambda: len(rotation))

    async def ask(self) -> None:
        """Ask every replica whether it is there: one round of a loop."""
        await self._rotation.ask()

    async def begin(self, call: Call) -> ReplicaAnswer:
        """Return the answer to a call once it has begun; cancelling this cancels the request.

        Until the first bytes are here nothing was sent to the client, so a replica that is lost
        loses no request: another one gets it, unless the request may be why (see `suspects`).

        Raises:
            SuspectRequestError: An engine was lost because of it, now or before.
            ReplicaUnavailableError: All are busy or away, or it took too long.
            ScaleSimError: The replica's own.
        """
        lost, fault = 0, ""
        while lost < _ATTEMPTS:
            await self._check(call)
            if fault:
                self._metrics.retried()
            found = await self._try(call)
            if isinstance(found, ReplicaAnswer):
                if not self._rotation.is_open(found.attempt):
                    self._suspects.answered(call)
                return found
            step = self._suspects.lost(call, found.verdict, found.replica)
            if step is RetryDecision.RETRY_ALONE:
                call = call._replace(under_suspicion=True)
            if step is RetryDecision.REFUSE:
                await self._spread()  # who sends it again may come to another process
                raise self._suspects.error(call) from found.fault
            fault = type(found.fault).__name__
            lost += not self._rotation.left(found.replica)
        raise ReplicaUnavailableError(
            f"{_ATTEMPTS} replicas were lost one after the other ({fault}): try again"
        )

    async def _check(self, call: Call) -> None:
        """Refuse a call that is a suspect, which an equal one may have shown meanwhile.

        Two replicas that vanished with it show it once both are known to have died.

        Raises:
            SuspectRequestError: An engine or a replica died of it.
            ReplicaUnavailableError: What became of them was not known in time.
        """
        self._suspects.check(call)
        vanished = self._suspects.vanished(call)
        if len(vanished) < 2:
            return
        try:
            died = await asyncio.wait_for(self._rotation.died(vanished), self._timeout_s)
        except TimeoutError as error:
            raise ReplicaUnavailableError(
                f"{len(vanished)} replicas do not answer since they had this request: try again"
            ) from error
        self._suspects.check(call)
        self._suspects.clear(call, vanished - died)
        if len(died & self._suspects.vanished(call)) > 1:  # not answered in between
            self._suspects.lost(call, Suspicion.CAUSE, "")
            await self._spread()
            raise self._suspects.error(call)

    async def _try(self, call: Call) -> ReplicaAnswer | _Lost:
        """Return how a call begins to be answered, or that it was lost.

        Raises:
            ReplicaUnavailableError: No replica takes it, or it took too long.
            ScaleSimError: The replica's own.
        """
        streams = call.body.get("stream") not in (None, False)
        attempt = self._rotation.begin(call)
        begun = False
        try:
            async with asyncio.timeout(self._timeout_s) as attempt.deadline:
                response = (self._pieces if streams else self._whole).remote(attempt.call)
                attempt.response = response
                head, first = await anext(response) if streams else await response
            attempt.deadline = None
            begun = streams
            return ReplicaAnswer(head, first, attempt)
        except EngineLostError as error:
            self._rotation.lose(attempt.replica)
            return _Lost(error.verdict, attempt.replica, error)
        except (RayActorError, AioRpcError, RuntimeError) as error:
            if not _is_gone(error):
                raise
            self._rotation.doubt(attempt.replica)
            return _Lost(self._verdict(attempt, error), attempt.replica, error)
        except (BackPressureError, DeploymentUnavailableError, TimeoutError) as error:
            attempt.cancel()
            if attempt.moved:
                return _Lost(self._verdict(attempt, error), attempt.replica, error)
            raise ReplicaUnavailableError(
                f"no replica answered ({type(error).__name__}): try again, or add replicas"
            ) from error
        except BaseException:
            attempt.cancel()
            raise
        finally:
            if not begun:
                self._rotation.end(attempt)

    async def relay(
        self,
        answer: ReplicaAnswer,
        ended: Callable[[int], None],
        broke: Callable[[ScaleSimError], None] = lambda _: None,
    ) -> AsyncIterator[bytes]:
        """Yield a stream to its end; `close` the answer afterwards.

        Args:
            answer: A stream that has begun.
            ended: Called with the number of tokens it took, if it came to its end.
            broke: Called with the error that it ended with otherwise.
        """
        try:
            yield answer.first
            async for piece in answer.attempt.response:
                if isinstance(piece, AnswerEnd):
                    self._suspects.answered(answer.attempt.call)
                    ended(piece.output_tokens)
                    piece = piece.data
                yield piece
            self._rotation.end(answer.attempt)
        except Exception as error:
            # Tokens already sent cannot be taken back: say that the rest is missing.
            self._metrics.broken()
            self._lost_half_way(answer, error)
            named = b"event: error\n" if answer.attempt.call.endpoint in _NAMED_EVENTS else b""
            fault = _broken(error)
            broke(fault)
            yield named + b"data: " + body_of(fault) + b"\n\n"

    def close(self, answer: ReplicaAnswer) -> None:
        """Cancel a stream in the engine unless it came to its end; safe to call twice."""
        if self._rotation.is_open(answer.attempt):
            answer.attempt.cancel()
            self._rotation.end(answer.attempt)

    def _lost_half_way(self, answer: ReplicaAnswer, error: Exception) -> None:
        attempt = answer.attempt
        if isinstance(error, EngineLostError):
            self._rotation.lose(attempt.replica)
            self._suspects.lost(attempt.call, error.verdict, attempt.replica)
        elif _is_gone(error):
            self._rotation.doubt(attempt.replica)
            self._suspects.lost(attempt.call, self._verdict(attempt, error), attempt.replica)

    def _verdict(self, attempt: Attempt, error: Exception) -> Suspicion:
        """Return what is known of a try that was lost with a replica which said nothing."""
        if not attempt.replica or self._rotation.left(attempt.replica):
            return Suspicion.INNOCENT
        if str(error).startswith(_TURNED_AWAY):
            return Suspicion.INNOCENT
        return Suspicion.UNKNOWN


def _is_gone(error: Exception) -> bool:
    return isinstance(error, _GONE) or (
        type(error) is RuntimeError and str(error).startswith(_NEVER_TAKEN)
    )


def _broken(error: Exception) -> ScaleSimError:
    if isinstance(error, ScaleSimError):
        return error
    if not _is_gone(error) and not isinstance(error, RequestCancelledError):
        _logger.error("A stream broke off", exc_info=error)
    return ReplicaUnavailableError(
        f"the answer broke off with its replica ({type(error).__name__}): send the request again"
    )
