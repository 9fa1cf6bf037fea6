"""SGLang's own OpenAI endpoints, given an identity and asked where the prompt was found.

Templates, tools, streaming and usage are SGLang's code; only its tokenizer manager is wrapped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from starlette.responses import Response, StreamingResponse

from scalesim.deployments.calls import AnswerEnd, AnswerHeader, AnswerPart, Call
from scalesim.deployments.engine.adapter_loader import AdapterLoader
from scalesim.deployments.engine.adapter_registry import AdapterRegistry
from scalesim.deployments.engine.admission import FieldNames, check_asked
from scalesim.deployments.engine.engine_calls import EngineCall, EngineCalls
from scalesim.deployments.engine.flags import in_our_names
from scalesim.deployments.engine.models.model_resolver import ModelResolver
from scalesim.deployments.engine.sglang.engine_endpoints import EVENTS, JSON, servings
from scalesim.deployments.engine.sglang.identified_manager import IdentifiedManager
from scalesim.deployments.engine.sglang.limits import limits_of
from scalesim.deployments.engine.sglang.requests_under_way import has_ended
from scalesim.deployments.engine.stream_pace import StreamPace
from scalesim.deployments.engine.watch import EngineFault
from scalesim.deployments.error_responses import body_of, error_body
from scalesim.errors import (
    InvalidRequestError,
)


class OpenAIEndpoints:
    """Chat and text completions of one engine.

    Attributes:
        limits: What the engine can take.

    Args:
        engine: SGLang's engine.
        name: Name of the replica.
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
        manager = IdentifiedManager(self._manager, self.limits)
        self._models = models
        self._loader = AdapterLoader(self._manager, adapters)
        self._name = name
        self._pace = StreamPace()
        self._calls = EngineCalls(name, self._serve)
        self._servings = servings(manager, engine.template_manager)

    def answer(self, call: Call) -> AsyncGenerator[AnswerPart, None]:
        """Yield the head with the body's first bytes, then the rest of a stream as it comes.

        Closing the iterator early aborts the request in the engine.

        Raises:
            EngineLostError: `lose` was called.
            AnswerAbortedError: The engine gave it up half way.
        """
        return self._calls.answer(call)

    @property
    def inside(self) -> int:
        """Number of calls that are being answered."""
        return self._calls.inside

    def lose(self, fault: EngineFault) -> None:
        """End every call with `EngineLostError`, and all that still come."""
        self._calls.lose(fault)

    def _has_ended(self, one: EngineCall) -> bool:
        """Return whether the engine has ended an answer, whatever of it is not sent yet.

        That of several prompts or choices is not looked at: SGLang has ids of its own for them.
        """
        alone = len(one.rids) == 1 and one.call.body.get("n") in (None, 1)
        return alone and has_ended(self._manager, one.rids[0])

    async def _serve(self, one: EngineCall) -> AsyncGenerator[AnswerPart, None]:
        call = one.call
        serving = self._servings[call.endpoint]
        try:
            check_asked(call.body, self.limits)
            request = serving.request_model(**call.body)
            one.model = await self._models.of(call)
            one.adapter = await self._loader.load(call)
            await serving.check(request)
        except ValidationError as error:
            yield AnswerHeader(400, JSON, one.found, self._name), _validation_body(error)
            return
        except InvalidRequestError as error:
            yield self._refusal(one, error)
            return
        response = await serving.answer(request)
        if isinstance(response, StreamingResponse):
            async with aclosing(response.body_iterator) as chunks:  # type: ignore[type-var]
                first = await _begun(one, chunks)
                if isinstance(one.fault, InvalidRequestError):
                    yield self._refusal(one, one.fault)
                    return
                if one.fault is not None:
                    raise one.fault
                yield AnswerHeader(200, EVENTS, one.found, self._name), first
                last = b""
                with self._pace:
                    async for chunk in chunks:
                        if self._has_ended(one):
                            last += _bytes(chunk)  # what is left is there already
                            continue
                        yield _bytes(chunk)
                        await self._pace.wait(partial(self._has_ended, one))
            if one.fault is not None:
                raise one.fault
            yield AnswerEnd(last, sum(one.generated.values()))
            return
        if isinstance(one.fault, InvalidRequestError):
            yield self._refusal(one, one.fault)
            return
        if one.fault is not None:
            raise one.fault
        status, body = _plain(response, FieldNames.of(call.body))
        tokens = sum(one.generated.values())
        yield AnswerHeader(status, JSON, one.found, self._name, tokens), body

    def _refusal(self, one: EngineCall, error: InvalidRequestError) -> tuple[AnswerHeader, bytes]:
        return AnswerHeader(error.status, JSON, one.found, self._name), body_of(error)


async def _begun(one: EngineCall, chunks: AsyncIterable[Any]) -> bytes:
    """Return what a stream begins with, once its request is answered or refused.

    Some of SGLang's endpoints send events before the engine has the request: what is refused then
    would be a stream that holds an error, and could not be tried on another replica.
    """
    first = b""
    try:
        async for chunk in chunks:
            first += _bytes(chunk)
            if one.generated or one.fault is not None:
                break
    except ValueError:
        if one.fault is None:
            raise
    return first


def _bytes(chunk: str | bytes | memoryview) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes(chunk)


def _plain(response: Any, names: FieldNames) -> tuple[int, bytes]:
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
