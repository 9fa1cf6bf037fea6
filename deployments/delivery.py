"""Hands calls to replicas and brings their answers back, whatever becomes of the replica."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from grpc.aio import AioRpcError
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from deployments.calls import Call, Head
from deployments.errors import body_of
from deployments.metrics import IngressMetrics
from scalesim.errors import ReplicaUnavailableError, ScaleSimError

_logger = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Replicas a request is tried on when one dies before its first byte."""

_LOST = (RayActorError, AioRpcError, RuntimeError)
"""What a call over gRPC ends with when its replica does: Serve makes a closed connection an
`ActorUnavailableError`, leaves other ends of a call as they are, and raises RuntimeError for a
stream that ended before the replica said that it takes it."""


class Answer(NamedTuple):
    """An answer that has begun.

    Attributes:
        head: Status, headers, where the prompt was found.
        first: First bytes of the body; all of it where it is no stream.
        pieces: The rest of a stream.
    """

    head: Head
    first: bytes
    pieces: Any


class Delivery:
    """The replicas as the ingress calls them.

    Args:
        replicas: Handle of the `Replica` deployment.
        timeout_s: Longest a request waits for its first piece.
        metrics: Counts what was lost.
    """

    def __init__(self, replicas: Any, timeout_s: float, metrics: IngressMetrics) -> None:
        # A handle for each method: making one takes longer than a call through it.
        self._whole = replicas.answer
        self._pieces = replicas.options(stream=True).stream
        self._timeout_s = timeout_s
        self._metrics = metrics

    async def begin(self, call: Call) -> Answer:
        """Return the answer to a call once it has begun; cancelling this cancels the request.

        Until the first bytes are here nothing was sent to the client, so a replica that dies
        loses no request: another one gets it.

        Raises:
            ReplicaUnavailableError: All are busy or away, or it took too long.
            ScaleSimError: The replica's own.
        """
        fault: Exception | None = None
        streams = call.body.get("stream") not in (None, False)
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._metrics.retried()
            answer = (self._pieces if streams else self._whole).remote(call)
            try:
                async with asyncio.timeout(self._timeout_s):
                    head, first = await anext(answer) if streams else await answer
                    return Answer(head, first, answer)
            except _LOST as error:
                fault = error
            except (BackPressureError, DeploymentUnavailableError, TimeoutError) as error:
                fault = error
                answer.cancel()
                break
            except asyncio.CancelledError:
                answer.cancel()
                raise
        raise ReplicaUnavailableError(
            f"no replica answered ({type(fault).__name__}): try again, or add replicas"
        )

    async def relay(self, answer: Answer, ended: Callable[[int], None]) -> AsyncIterator[bytes]:
        """Yield a stream to its end; a client that goes away cancels the request in the engine.

        Args:
            answer: A stream that has begun.
            ended: Called with the number of tokens it took, if it came to its end.
        """
        pieces = answer.pieces
        finished = False
        try:
            yield answer.first
            async for piece in pieces:
                if isinstance(piece, int):
                    ended(piece)
                else:
                    yield piece
            finished = True
        except Exception as error:
            # Tokens already sent cannot be taken back: say that the rest is missing.
            finished = True
            self._metrics.broken()
            yield b"data: " + body_of(_broken(error)) + b"\n\n"
        finally:
            if not finished:
                pieces.cancel()


def _broken(error: Exception) -> ScaleSimError:
    if isinstance(error, ScaleSimError):
        return error
    if not isinstance(error, _LOST):
        _logger.error("A stream broke off", exc_info=error)
    return ReplicaUnavailableError(
        f"the answer broke off with its replica ({type(error).__name__}): send the request again"
    )
