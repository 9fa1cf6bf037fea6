"""Calls that an engine answers, and how each of them ends where the engine is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from scalesim.deployments.calls import AnswerPart, Call
from scalesim.deployments.engine.watch import EngineFault
from scalesim.deployments.suspects import EngineLostError, Suspicion, digest, judge
from scalesim.errors import ScaleSimError
from scalesim.headers import CachedTokens


@dataclass(slots=True, eq=False)
class EngineCall:
    """One call: what it carries into the engine and brings back."""

    call: Call
    model: str = ""
    adapter: str | None = None
    found: CachedTokens = field(default_factory=CachedTokens)
    generated: dict[str, int] = field(default_factory=dict)
    """Tokens so far, by the engine's request: one for each of `n` choices."""
    requests: list[Any] = field(default_factory=list)
    """What was handed to the engine."""
    answers: list[AsyncGenerator[Any, None]] = field(default_factory=list)
    """What the engine answers to each."""
    fault: ScaleSimError | None = None
    """Why it cannot be answered: refused on its way in or by the engine, or given up half way."""
    turn: ExitStack = field(default_factory=ExitStack)
    """Closed once its first token is there: the next one under suspicion may then begin."""

    @property
    def rids(self) -> list[str]:
        """Ids of its requests in the engine."""
        ids = [request.rid for request in self.requests]
        return [rid for each in ids for rid in ([each] if isinstance(each, str) else each or ())]


UNDER_WAY: ContextVar[EngineCall] = ContextVar("scalesim_engine_call")
"""The call that the current task answers."""

Serve = Callable[[EngineCall], AsyncGenerator[AnswerPart, None]]
"""Answers one call: yields the head with the body's first bytes, then the rest as it comes."""


class EngineCalls:
    """All calls of one engine that are being answered.

    Args:
        name: Name of the replica.
        serve: Answers each.
    """

    def __init__(self, name: str, serve: Serve) -> None:
        self._name = name
        self._serve = serve
        self._inside: dict[EngineCall, asyncio.Task[Any] | None] = {}
        self._lost: dict[EngineCall, Suspicion] = {}
        self._fault: EngineFault | None = None
        self._blamed: dict[bytes, Suspicion] = {}
        self._one_under_suspicion = asyncio.Lock()

    async def answer(self, call: Call) -> AsyncGenerator[AnswerPart, None]:
        """Yield what `serve` does; those under suspicion enter the engine one after the other.

        Closing the iterator early aborts the call in the engine.

        Raises:
            EngineLostError: `lose` was called.
        """
        if self._fault is not None:
            raise self._error(self._blamed.get(digest(call), Suspicion.INNOCENT))
        one = EngineCall(call)
        UNDER_WAY.set(one)
        self._inside[one] = asyncio.current_task()
        try:
            if call.under_suspicion:
                await self._one_under_suspicion.acquire()
                one.turn.callback(self._one_under_suspicion.release)
            async with aclosing(self._serve(one)) as pieces:
                async for piece in pieces:
                    self._inside[one] = None  # `lose` must not end what sends the piece
                    yield piece
                    self._inside[one] = asyncio.current_task()
                    if one in self._lost:
                        raise self._error(self._lost[one])
        except asyncio.CancelledError:
            if one not in self._lost:
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            raise self._error(self._lost[one]) from None
        finally:
            one.turn.close()
            self._lost.pop(one, None)
            self._inside.pop(one)
            for answers in one.answers:
                await answers.aclose()

    @property
    def inside(self) -> int:
        """Number of calls that are being answered."""
        return len(self._inside)

    def lose(self, fault: EngineFault) -> None:
        """End every call with `EngineLostError`, and all that still come."""
        self._fault = fault
        entered = [one for one in self._inside if one.requests]
        calls = [(one.call, one.rids) for one in entered]
        found = judge(fault.by_request, fault.named, calls)
        # Equal ones that were not in the engine yet must not go to the next.
        self._blamed = {
            digest(one.call): verdict for one, verdict in zip(entered, found, strict=True)
        }
        self._lost = {
            one: self._blamed.get(digest(one.call), Suspicion.INNOCENT) for one in self._inside
        }
        for task in self._inside.values():
            if task is not None:
                task.cancel()

    def _error(self, verdict: Suspicion) -> EngineLostError:
        assert self._fault is not None
        return EngineLostError(
            f"{self._name} lost its engine: {self._fault.reason}; it is replaced, try again",
            verdict,
        )
