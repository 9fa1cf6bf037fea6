"""SGLang's own OpenAI endpoints, given an identity and asked where the prompt was found.

Templates, tools, streaming and usage are SGLang's code; only its tokenizer manager is wrapped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import ExitStack, aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from scalesim.deployments.calls import AnswerEnd, AnswerHeader, AnswerPart, Call
from scalesim.deployments.engine.adapter_loader import AdapterLoader
from scalesim.deployments.engine.adapter_registry import AdapterRegistry
from scalesim.deployments.engine.admission import EngineLimits, Names, admit, check_asked
from scalesim.deployments.engine.flags import in_our_names
from scalesim.deployments.engine.identity_envelope import hints, salted
from scalesim.deployments.engine.models.model_resolver import ModelResolver
from scalesim.deployments.engine.sglang.engine_endpoints import EVENTS, JSON, servings
from scalesim.deployments.engine.sglang.limits import limits_of, tokenized
from scalesim.deployments.engine.sglang.requests_under_way import has_ended, hear_of_first_token
from scalesim.deployments.engine.stream_pace import StreamPace
from scalesim.deployments.engine.watch import EngineFault
from scalesim.deployments.error_responses import body_of, error_body
from scalesim.deployments.suspects import EngineLostError, Suspicion, digest, judge
from scalesim.deployments.tracing import carrier
from scalesim.errors import (
    AnswerAbortedError,
    InvalidRequestError,
    ReplicaUnavailableError,
    ScaleSimError,
)
from scalesim.headers import CachedTokens

_ABORTED = "the engine gave up this request half way, without an answer: send it again"


@dataclass(slots=True, eq=False)
class _Trip:
    """What one request carries in and brings back."""

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


_TRIP: ContextVar[_Trip] = ContextVar("scalesim_trip")


class OpenAIEndpoints:
    """Chat and text completions of one engine.

    Attributes:
        limits: What the engine can take.

    Args:
        engine: SGLang's engine.
        name: Of the replica.
        models: Which model a call is for.
        adapters: What `model:adapter` may name and agents may have; None refuses every adapter.
        answer: Tokens of an answer whose length is not asked for; None lets it fill the context.
    """

    def __init__(
        self,
        engine: Any,
        name: str,
        models: ModelResolver,
        adapters: AdapterRegistry | None = None,
        answer: int | None = None,
    ) -> None:
        self.limits = replace(limits_of(engine), answer=answer)
        self._manager = engine.tokenizer_manager
        manager = _IdentifiedManager(self._manager, self.limits)
        self._models = models
        self._loader = AdapterLoader(self._manager, adapters)
        self._name = name
        self._pace = StreamPace()
        self._inside: dict[_Trip, asyncio.Task[Any] | None] = {}
        self._lost: dict[_Trip, Suspicion] = {}
        self._fault: EngineFault | None = None
        self._blamed: dict[bytes, Suspicion] = {}
        self._one_under_suspicion = asyncio.Lock()
        self._servings = servings(manager, engine.template_manager)

    async def answer(self, call: Call) -> AsyncGenerator[AnswerPart, None]:
        """Yield the head with the body's first bytes, then the rest of a stream as it comes.

        Closing the iterator early aborts the request in the engine.

        Raises:
            EngineLostError: `lose` was called.
            AnswerAbortedError: The engine gave it up half way.
        """
        if self._fault is not None:
            raise self._error(self._blamed.get(digest(call), Suspicion.INNOCENT))
        trip = _Trip(call)
        _TRIP.set(trip)
        self._inside[trip] = asyncio.current_task()
        try:
            if call.under_suspicion:
                await self._one_under_suspicion.acquire()
                trip.turn.callback(self._one_under_suspicion.release)
            async with aclosing(self._answer(trip)) as pieces:
                async for piece in pieces:
                    self._inside[trip] = None  # `lose` must not end what sends the piece
                    yield piece
                    self._inside[trip] = asyncio.current_task()
                    if trip in self._lost:
                        raise self._error(self._lost[trip])
        except asyncio.CancelledError:
            if trip not in self._lost:
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            raise self._error(self._lost[trip]) from None
        finally:
            trip.turn.close()
            self._lost.pop(trip, None)
            self._inside.pop(trip)
            for answers in trip.answers:
                await answers.aclose()

    @property
    def inside(self) -> int:
        """Number of calls that are being answered."""
        return len(self._inside)

    def lose(self, fault: EngineFault) -> None:
        """End every call with `EngineLostError`, and all that still come."""
        self._fault = fault
        entered = [trip for trip in self._inside if trip.requests]
        calls = [(trip.call, trip.rids) for trip in entered]
        found = judge(fault.by_request, fault.named, calls)
        # Equal ones that were not in the engine yet must not go to the next.
        self._blamed = {
            digest(trip.call): verdict for trip, verdict in zip(entered, found, strict=True)
        }
        self._lost = {
            trip: self._blamed.get(digest(trip.call), Suspicion.INNOCENT) for trip in self._inside
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

    def _has_ended(self, trip: _Trip) -> bool:
        """Return whether the engine has ended an answer, whatever of it is not sent yet.

        That of several prompts or choices is not looked at: SGLang has ids of its own for them.
        """
        alone = len(trip.rids) == 1 and trip.call.body.get("n") in (None, 1)
        return alone and has_ended(self._manager, trip.rids[0])

    async def _answer(self, trip: _Trip) -> AsyncGenerator[AnswerPart, None]:
        call = trip.call
        serving = self._servings[call.endpoint]
        try:
            check_asked(call.body, self.limits)
            request = serving.request_model(**call.body)
            trip.model = await self._models.of(call)
            trip.adapter = await self._loader.load(call)
            await serving.check(request)
        except ValidationError as error:
            yield AnswerHeader(400, JSON, trip.found, self._name), _validation_body(error)
            return
        except InvalidRequestError as error:
            yield self._refusal(trip, error)
            return
        response = await serving.answer(request)
        if isinstance(response, StreamingResponse):
            async with aclosing(response.body_iterator) as chunks:  # type: ignore[type-var]
                first = await _begun(trip, chunks)
                if isinstance(trip.fault, InvalidRequestError):
                    yield self._refusal(trip, trip.fault)
                    return
                if trip.fault is not None:
                    raise trip.fault
                yield AnswerHeader(200, EVENTS, trip.found, self._name), first
                last = b""
                with self._pace:
                    async for chunk in chunks:
                        if self._has_ended(trip):
                            last += _bytes(chunk)  # what is left is there already
                            continue
                        yield _bytes(chunk)
                        await self._pace.wait(partial(self._has_ended, trip))
            if trip.fault is not None:
                raise trip.fault
            yield AnswerEnd(last, sum(trip.generated.values()))
            return
        if isinstance(trip.fault, InvalidRequestError):
            yield self._refusal(trip, trip.fault)
            return
        if trip.fault is not None:
            raise trip.fault
        status, body = _plain(response, Names.of(call.body))
        tokens = sum(trip.generated.values())
        yield AnswerHeader(status, JSON, trip.found, self._name, tokens), body

    def _refusal(self, trip: _Trip, error: InvalidRequestError) -> tuple[AnswerHeader, bytes]:
        return AnswerHeader(error.status, JSON, trip.found, self._name), body_of(error)


async def _begun(trip: _Trip, chunks: AsyncIterable[Any]) -> bytes:
    """Return what a stream begins with, once its request is answered or refused.

    Some of SGLang's endpoints send events before the engine has the request: what is refused then
    would be a stream that holds an error, and could not be tried on another replica.
    """
    first = b""
    try:
        async for chunk in chunks:
            first += _bytes(chunk)
            if trip.generated or trip.fault is not None:
                break
    except ValueError:
        if trip.fault is None:
            raise
    return first


class _IdentifiedManager:
    """SGLang's tokenizer manager; requests leave it with identity, answers pass through noted.

    Every request passes here with its prompts tokenized, before any part of it is in the engine.
    """

    def __init__(self, manager: Any, limits: EngineLimits) -> None:
        self._manager = manager
        self._limits = limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def generate_request(self, request: Any, raw: Any = None) -> AsyncIterator[Any]:
        trip = _TRIP.get()
        names = Names.of(trip.call.body)
        prompts = await tokenized(self._manager, request)
        try:
            admit(prompts, request.sampling_params, self._limits, names)
        except InvalidRequestError as error:
            trip.fault = error
            raise ValueError(str(error)) from error  # what SGLang's endpoints take as refused
        # SGLang then makes its own, which cannot be guessed and none of which begins another: it
        # ends every request whose id begins with the one it is asked to end.
        request.rid = None
        request.external_trace_header = carrier()
        request.kv_hints = hints(trip.call.key, trip.call.next_use, trip.model)
        request.lora_path = trip.adapter
        request.cache_salt = salted(trip.call.salt, trip.model)
        whole = not request.stream
        if trip.call.under_suspicion and len(prompts) == 1 and trip.call.body.get("n") in (None, 1):
            hear_of_first_token(self._manager, request)
        answers = self._manager.generate_request(request, raw)
        trip.requests.append(request)
        trip.answers.append(answers)
        try:
            # Closing it aborts what it started, and nothing else.
            async with aclosing(answers):
                async for answer in answers:
                    parts = [part["meta_info"] for part in _listed(answer)]
                    self._note(trip, parts, names, whole)
                    trip.turn.close()
                    if whole and any(part["finish_reason"] is None for part in parts):
                        continue
                    yield answer
        except (ValueError, HTTPException) as error:
            if trip.fault is None:
                detail = getattr(error, "detail", error)
                trip.fault = _fault(getattr(error, "status_code", 400), str(detail), names)
            raise

    def _note(self, trip: _Trip, parts: list[dict[str, Any]], names: Names, whole: bool) -> None:
        """Note what an answer says of its request; raise where it is none."""
        if (whole or not trip.generated) and (fault := _refusal(parts, names)) is not None:
            trip.fault = fault
            raise ValueError(str(fault))
        if any(_is_aborted(meta) for meta in parts):
            trip.fault = AnswerAbortedError(_ABORTED)
            raise trip.fault
        trip.found = _found(parts[0])
        trip.generated |= {meta["id"]: meta.get("completion_tokens", 0) for meta in parts}


def _listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


def _is_aborted(meta: dict[str, Any]) -> bool:
    """Return whether SGLang gave a request up; where it has a status, it makes an error of that."""
    reason = meta.get("finish_reason")
    if not isinstance(reason, dict):
        return False
    return reason.get("type") == "abort" and not reason.get("status_code")


def _refusal(parts: list[dict[str, Any]], names: Names) -> ScaleSimError | None:
    """Return why an engine refused a request before its first token; a stream tells it as text."""
    for meta in parts:
        reason = meta.get("finish_reason")
        if isinstance(reason, dict) and reason.get("type") == "abort" and reason.get("status_code"):
            return _fault(reason["status_code"], str(reason.get("message")), names)
    return None


_FORMAT_FAULTS = ("Failed to compile", "Grammar accept_token failed", "Grammar preprocessing")
"""How SGLang begins to say that a grammar is wrong, or that no token of the model goes on in it."""


def _fault(status: int, message: str, names: Names) -> ScaleSimError:
    """Return what a refusal of SGLang's is to the caller."""
    if message.startswith(_FORMAT_FAULTS):
        return InvalidRequestError(
            f"{names.format}: the model cannot answer so: {in_our_names(message)}", names.format
        )
    fault = InvalidRequestError if status < 500 else ReplicaUnavailableError
    return fault(in_our_names(message))


def _found(meta: dict[str, Any]) -> CachedTokens:
    details = meta.get("cached_tokens_details") or {}
    return CachedTokens(
        prompt=meta.get("prompt_tokens", 0),
        device=details.get("device", 0),
        host=details.get("host", 0),
        storage=details.get("storage", 0),
    )


def _bytes(chunk: str | bytes | memoryview) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes(chunk)


def _plain(response: Any, names: Names) -> tuple[int, bytes]:
    """Return status and JSON bytes of an answer that is not a stream.

    What SGLang refuses without naming a field is what the prompt is made of.
    """
    if isinstance(response, Response):
        body = bytes(response.body)
        if response.status_code < 400:
            return response.status_code, body
        error = orjson.loads(body)
        error = error.get("error", error)
        message = in_our_names(str(error.get("message")))
        return response.status_code, error_body(
            message, str(error.get("type")), error.get("param") or names.prompt, error.get("code")
        )
    assert isinstance(response, BaseModel)
    return 200, orjson.dumps(response.model_dump())


def _validation_body(error: ValidationError) -> bytes:
    fault = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("function-"))
    return error_body(f"{field}: {fault['msg']}", "invalid_request_error", field, "invalid_request")
