"""SGLang's own OpenAI endpoints, given an identity and asked where the prompt was found.

Templates, tools, streaming and usage are SGLang's code; only its tokenizer manager is wrapped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from sglang.srt.entrypoints.openai.protocol import ChatCompletionRequest, CompletionRequest
from sglang.srt.entrypoints.openai.serving_chat import OpenAIServingChat
from sglang.srt.entrypoints.openai.serving_completions import OpenAIServingCompletion
from starlette.responses import Response, StreamingResponse

from deployments.calls import Call, Head, Piece
from deployments.engine.adapters import AdapterShelf
from deployments.engine.identity import hints, salted
from deployments.engine.loading import AdapterLoader
from deployments.engine.models.choice import ModelChoice
from deployments.errors import body_of, error_body
from scalesim.errors import InvalidRequestError
from scalesim.headers import CachedTokens

JSON = "application/json"


@dataclass(slots=True)
class _Trip:
    """What one request carries in and brings back."""

    call: Call
    model: str = ""
    adapter: str | None = None
    found: CachedTokens = field(default_factory=CachedTokens)
    generated: dict[str, int] = field(default_factory=dict)
    """Tokens so far, by the engine's request: one for each of `n` choices."""


_TRIP: ContextVar[_Trip] = ContextVar("scalesim_trip")


class OpenAIEndpoints:
    """Chat and text completions of one engine.

    Args:
        engine: SGLang's engine.
        name: Of the replica.
        models: Which model a call is for.
        adapters: What `model:adapter` may name and agents may have; None refuses every adapter.
    """

    def __init__(
        self, engine: Any, name: str, models: ModelChoice, adapters: AdapterShelf | None = None
    ) -> None:
        manager = _IdentifiedManager(engine.tokenizer_manager)
        self._models = models
        self._loader = AdapterLoader(engine.tokenizer_manager, adapters)
        template = engine.template_manager
        self._name = name
        self._endpoints = {
            "chat": (ChatCompletionRequest, OpenAIServingChat(manager, template)),
            "completions": (CompletionRequest, OpenAIServingCompletion(manager, template)),
        }

    async def answer(self, call: Call) -> AsyncGenerator[Piece, None]:
        """Yield the head with the body's first bytes, then the rest of a stream as it comes.

        Closing the iterator early aborts the request in the engine.
        """
        trip = _Trip(call)
        _TRIP.set(trip)
        model, serving = self._endpoints[call.endpoint]
        try:
            request = model(**call.body)
            trip.model = await self._models.of(call)
            trip.adapter = await self._loader.load(call)
        except ValidationError as error:
            yield Head(400, JSON, trip.found, self._name), _validation_body(error)
            return
        except InvalidRequestError as error:
            yield Head(error.status, JSON, trip.found, self._name), body_of(error)
            return
        response = await serving.handle_request(request, None)
        if isinstance(response, StreamingResponse):
            chunks = aiter(response.body_iterator)
            first = await anext(chunks)
            yield Head(200, "text/event-stream", trip.found, self._name), _bytes(first)
            async for chunk in chunks:
                yield _bytes(chunk)
            yield sum(trip.generated.values())
            return
        status, body = _plain(response)
        tokens = sum(trip.generated.values())
        yield Head(status, JSON, trip.found, self._name, tokens), body


class _IdentifiedManager:
    """SGLang's tokenizer manager; requests leave it with identity, answers pass through noted."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def generate_request(self, request: Any, raw: Any = None) -> AsyncIterator[Any]:
        trip = _TRIP.get()
        request.kv_hints = hints(trip.call.key, trip.call.next_use, trip.model)
        request.lora_path = trip.adapter
        request.cache_salt = salted(trip.call.salt, trip.model)
        answers = self._manager.generate_request(request, raw)
        finished = False
        try:
            async for answer in answers:
                parts = [part["meta_info"] for part in _listed(answer)]
                trip.found = _found(parts[0])
                trip.generated |= {meta["id"]: meta.get("completion_tokens", 0) for meta in parts}
                finished = parts[0].get("finish_reason") is not None
                yield answer
        finally:
            if not finished:
                self._abort(request)

    def _abort(self, request: Any) -> None:
        rids = [request.rid] if isinstance(request.rid, str) else request.rid or []
        for rid in rids:
            self._manager.abort_request(rid)


def _listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


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


def _plain(response: Any) -> tuple[int, bytes]:
    """Return status and JSON bytes of an answer that is not a stream."""
    if isinstance(response, Response):
        body = bytes(response.body)
        if response.status_code < 400:
            return response.status_code, body
        told = orjson.loads(body)
        told = told.get("error", told)
        return response.status_code, error_body(
            str(told.get("message")), str(told.get("type")), told.get("param"), told.get("code")
        )
    assert isinstance(response, BaseModel)
    return 200, orjson.dumps(response.model_dump())


def _validation_body(error: ValidationError) -> bytes:
    fault = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("function-"))
    return error_body(f"{field}: {fault['msg']}", "invalid_request_error", field, "invalid_request")
